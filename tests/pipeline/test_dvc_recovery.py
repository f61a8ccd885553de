"""After DVC was killed, the next start works, and it runs the unchanged DVC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline import dvc_command, dvc_recovery
from tests.support import dvc_project

pytestmark = pytest.mark.slow

STAGES = {
    name: {"cmd": f"echo {name} >> runs.txt && echo {name} > {name}.txt", "deps": ["in.txt"], "outs": [f"{name}.txt"]}
    for name in ("alpha", "beta")
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project of two stages that have run."""
    with dvc_project.made(tmp_path_factory) as folder:
        Path("in.txt").write_text("in\n")
        Path("dvc.yaml").write_text(plain_yaml.dump({"stages": STAGES}))
        assert repro() == 0
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of it."""
    copy = shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(copy)
    return copy


def repro() -> int:
    """In a process of its own, since DVC sets up the logging of its process."""
    command = [sys.executable, "-m", "intrada.pipeline.dvc_command", "repro", "-q"]
    return subprocess.run(command).returncode


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("size", [0, 10])
def test_a_dvc_lock_that_cannot_be_read_is_replaced_by_the_copy_of_the_last_start_or_removed(
    folder: Path, size: int, copied: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Path("dvc.lock")
    whole = lock.read_bytes()
    if copied:
        dvc_recovery.prepare(folder)
    lock.write_bytes(whole[:size])
    dvc_recovery.prepare(folder)
    assert lock.exists() == copied
    assert not copied or lock.read_bytes() == whole
    assert Path(".dvc/tmp/dvc.lock.broken").read_bytes() == whole[:size]
    assert "dvc.lock: cannot be read, as after a kill" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "end", ["", "sche", "md5: 9f9f", "md5: 9f9f90dbe3e5ee1218c86b8839db1995\n", "  beta:\n"]
)
def test_after_a_kill_while_dvc_lock_was_written_no_stage_runs_again(folder: Path, end: str) -> None:
    """DVC can read some of these parts; 9f9f... is the hash of the first stage's output."""
    lock = Path("dvc.lock")
    whole = lock.read_text()
    before, found, _ = whole.partition(end) if end else ("", "", "")
    assert found == end
    lock.write_text(before + found)
    assert repro() == 0
    assert hashes(lock.read_text()) == hashes(whole)
    assert Path("runs.txt").read_text() == "alpha\nbeta\n"


def hashes(text: str) -> dict[str, list[str]]:
    lock: Any = plain_yaml.parse(text)
    stages = lock["stages"]
    return {name: [out["md5"] for out in stage["deps"] + stage["outs"]] for name, stage in stages.items()}


@pytest.mark.slow
def test_a_copy_from_before_a_stage_ran_costs_no_run_either(folder: Path) -> None:
    dvc_recovery.prepare(folder)
    Path("in.txt").write_text("other\n")
    assert repro() == 0
    Path("dvc.lock").write_bytes(b"")
    assert repro() == 0
    assert Path("runs.txt").read_text() == "alpha\nbeta\n" * 2


def test_a_dvc_lock_that_is_whole_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("dvc.lock").stat()
    dvc_recovery.prepare(folder)
    dvc_recovery.prepare(folder)
    after = Path("dvc.lock").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert capsys.readouterr().err == ""


def test_a_merge_conflict_is_the_users_to_resolve(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Path("dvc.lock")
    conflict = f"<<<<<<< HEAD\n{lock.read_text()}=======\nschema: '2.0'\n>>>>>>> other\n"
    lock.write_text(conflict)
    assert dvc_command.main(["repro"]) == 1
    said = capsys.readouterr().err
    assert "dvc.lock: contains a merge conflict" in said and "git checkout --ours dvc.lock" in said
    assert lock.read_text() == conflict


def test_the_locks_of_a_killed_process_are_removed_even_if_nobody_has_waited_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(".dvc/tmp/rwlock")
    with ended() as dead:
        held = {"pid": os.getpid(), "cmd": "dvc repro"}
        gone = {"pid": dead, "cmd": "dvc repro alpha"}
        write({"write": {"/a": gone, "/b": held}, "read": {"/c": [gone, held], "/d": [gone]}})
        dvc_recovery.prepare(folder)
        assert json.loads(path.read_text()) == {"write": {"/b": held}, "read": {"/c": [held]}}
        assert f"the locks of process {dead} (dvc repro alpha), which has ended" in capsys.readouterr().err
        write({"write": {str(folder / "alpha.txt"): gone}})
        Path("in.txt").write_text("other\n")
        assert repro() == 0


@contextmanager
def ended() -> Iterator[int]:
    """Return the PID of a zombie: a killed process that its parent has not reaped."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        yield process.pid


def write(held: dict[str, Any]) -> None:
    Path(".dvc/tmp/rwlock").write_text(json.dumps(held))


@pytest.mark.parametrize("text", ["", '{"wri', "[]", '{"write": {"/a": 1}}'])
def test_a_part_of_the_list_of_locked_paths_is_named_with_what_to_do(folder: Path, text: str) -> None:
    path = Path(".dvc/tmp/rwlock")
    path.write_text(text)
    with pytest.raises(UserError, match=r"(?s)rwlock: cannot be read .* remove the file"):
        dvc_recovery.prepare(folder)
    assert path.read_text() == text


@pytest.mark.parametrize("words", [[], ["--cd", "below"]])
def test_it_is_the_project_of_the_working_directory_or_of_the_option_cd(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "below").mkdir()
    monkeypatch.chdir(folder if words else folder / "below")
    (folder / "dvc.lock").write_bytes(b"")  # without a copy, so it is removed
    command = [sys.executable, "-m", "intrada.pipeline.dvc_command", *words, "root"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "..\n"
    assert not (folder / "dvc.lock").exists()
