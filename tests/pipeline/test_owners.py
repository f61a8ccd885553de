"""Which entries of DVC's list of locked paths belong to processes that live, here and on other hosts."""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from intrada.core import locks
from intrada.core.errors import UserError
from intrada.pipeline import dvc_command, dvc_recovery, owners
from tests.support import dvc_project, processes

HERE = socket.gethostname()
ME = os.getpid()
NOBODY = 2**22 + 1  # above the largest PID of Linux


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """DVC's folder for temporary files of an empty project."""
    (tmp_path / owners.TEMPORARY / owners.FOLDER).mkdir(parents=True)
    return tmp_path / owners.TEMPORARY


def locking(path: Path) -> str:
    """Return the script of a process that lives as the owner `path`, whichever host its name says."""
    return f"from pathlib import Path; from intrada.core import locks; held = locks.acquire(Path({str(path)!r}), 'it')"


# name of the entry, names that living processes hold, has it ended?
TABLE = {
    "lives on another host": ("job.4711.100.node1", ["job.4711.100.node1"], False),
    "the same PID on two hosts, the other one lives": ("job.4711.100.node2", ["job.4711.100.node1"], True),
    "the same PID and start on two hosts": ("job.4711.100.node1", ["job.4711.100.node2"], True),
    "its PID is reused there": ("job.4711.100.node1", ["job.4711.200.node1"], True),
    "its PID is that of a living process here": (f"job.{ME}.100.node1", [], True),
    "its PID is reused here": (f"job.{ME}.100.{HERE}", [], True),
    "lives here, in namespaces of its own": (f"dvc.{NOBODY}.100.{HERE}", [f"dvc.{NOBODY}.100.{HERE}"], False),
    "dead here": (f"dvc.{NOBODY}.100.{HERE}", [], True),
    "of a host that nobody knows": ("dvc.4711.100.lost.example.org", [], True),
    "a host name with dots": ("dvc.4711.100.a-1.example.org", ["dvc.4711.100.a-1.example.org"], False),
}


@pytest.mark.parametrize("name, living, ended", TABLE.values(), ids=TABLE)
def test_an_owner_has_ended_exactly_if_nobody_locks_its_file(
    folder: Path, name: str, living: list[str], ended: bool
) -> None:
    with ExitStack() as stack:
        for other in living:
            stack.enter_context(processes.ready(locking(folder / owners.FOLDER / other)))
        assert owners.has_ended(folder, f"dvc repro -s rank [{name}]") is ended
    assert owners.has_ended(folder, f"dvc repro -s rank [{name}]") is True  # killed
    assert owners.has_ended(folder, "dvc repro") is None


def test_only_the_entries_of_dead_owners_are_removed_from_dvcs_list(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """PID NOBODY does not exist here, so DVC itself would remove all of them; ME exists, so it would keep it."""
    with dvc_project.made(tmp_path_factory) as project:
        folder = project / owners.TEMPORARY
        living = {"pid": NOBODY, "cmd": "dvc repro -s a [job.4711.100.node1]"}
        dead = {"pid": ME, "cmd": "dvc repro -s a [job.4711.100.node2]"}
        plain = {"pid": NOBODY, "cmd": "dvc repro"}
        held = {
            "write": {"/a": living, "/b": dead},
            "read": {"/c": [dead, living], "/d": [plain], "/e": [dead]},
        }
        (folder / "rwlock").write_text(json.dumps(held))
        with processes.ready(locking(folder / "owners/job.4711.100.node1")):
            dvc_recovery.prepare(project, dry=True)
            left = {"write": {"/a": living}, "read": {"/c": [living], "/d": [plain]}}
            assert json.loads((folder / "rwlock").read_text()) == left
            assert (
                f"the locks of process {ME} (dvc repro -s a [job.4711.100.node2])" in capsys.readouterr().err
            )
        dvc_recovery.prepare(project)
        assert json.loads((folder / "rwlock").read_text()) == {"write": {}, "read": {}}


def test_dvc_does_not_start_while_a_job_of_another_host_runs(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    with dvc_project.made(tmp_path_factory) as project:
        with processes.ready(locking(project / owners.TEMPORARY / "owners/job.4711.100.node1")) as job:
            assert dvc_command.main(["status"]) == 1
            message = capsys.readouterr().err
            assert (
                f"process {job.pid} on {HERE} (-c) runs in this checkout" in message and "scancel" in message
            )
        assert dvc_command.main(["root"]) == 0


@pytest.mark.parametrize(
    "name, refused", [("dvc.7.1.node1", True), ("job.7.1.node1", False), (f"dvc.7.1.{HERE}", False)]
)
def test_a_job_runs_beside_other_jobs_but_not_beside_dvc_on_another_host(
    folder: Path, name: str, refused: bool
) -> None:
    with processes.ready(locking(folder / owners.FOLDER / name)):
        if refused:
            with pytest.raises(UserError, match="owners: process .* runs in this checkout"):
                owners.refuse_elsewhere(folder, [owners.DVC])
        else:
            owners.refuse_elsewhere(folder, [owners.DVC])


def test_a_process_registers_once_and_removes_the_files_of_dead_ones(folder: Path) -> None:
    dead, living = (folder / owners.FOLDER / f"job.7.1.node{number}" for number in (1, 2))
    dead.touch()
    script = f"from pathlib import Path; from intrada.pipeline import owners; print([owners.register(Path({str(folder)!r}), 'job') for _ in '12'])"
    with processes.ready(locking(living)):
        with processes.begun("-c", f"{script}; input()") as process:
            first, second = json.loads(processes.said(process).replace("'", '"'))
            assert first == second and first.startswith(f"job.{process.pid}.") and first.endswith(f".{HERE}")
            assert {path.name for path in living.parent.iterdir()} == {first, living.name}
            assert locks.is_held(living.parent / first)
            process.communicate("\n")
        assert list(living.parent.iterdir()) == [living]
