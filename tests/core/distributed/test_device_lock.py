"""Devices by name between real processes; no device of these names exists, and none is needed."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from intrada.core.distributed import device_lock
from intrada.core.errors import UserError
from tests.support import processes

TWO = ("cuda-a", "cuda-b")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The machine's folder for temporary files, here and in the processes started from here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path


def asking(*devices: str) -> tuple[str, str]:
    """A program that takes a device, says which, and keeps it until it is killed."""
    script = f"from intrada.core.distributed import device_lock; (held,) = device_lock.acquire({devices!r}); print(held.name, flush=True)"
    return "-c", f"{script}; {processes.SLEEP}"


def test_two_at_once_get_two_devices_and_a_third_waits_for_one_that_is_killed() -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(processes.begun(*asking(*TWO))) for _ in range(2))
        given = {processes.said(process): process for process in (first, second)}
        assert sorted(given) == sorted(TWO)
        third = stack.enter_context(processes.begun(*asking(*TWO)))
        a, b = (rf"{name} by process {given[name].pid} on \S+ \(-c.*\)" for name in TWO)
        assert re.fullmatch(f"waiting for a free device, all are held: {a}; {b}", processes.warned(third))
        given["cuda-b"].kill()
        assert processes.said(third) == "cuda-b"
        assert processes.warned(third) == "going on with cuda-b"  # and waiting was said once
        given["cuda-a"].kill()
        given["cuda-a"].wait()
        with (held := device_lock.acquire(TWO)[0]).handle:
            assert held.name == "cuda-a"


def test_more_processes_than_devices_are_all_served_and_no_two_by_one_device_at_once() -> None:
    spans = (
        "import time; from intrada.core.distributed import device_lock; device_lock.POLL = 0.02\n"
        f"(held,) = device_lock.acquire({TWO!r}); start = time.monotonic_ns(); time.sleep(0.05)\n"
        "print(held.name, start, time.monotonic_ns(), flush=True)"
    )
    with ExitStack() as stack:
        asked = [stack.enter_context(processes.begun("-c", spans)) for _ in range(6)]
        served = sorted(processes.said(process).split() for process in asked)
    assert len(served) == len(asked)
    for (name, _, end), (after, start, _) in itertools.pairwise(served):
        assert name != after or int(end) <= int(start)


def test_one_that_needs_two_holds_none_while_one_is_free() -> None:
    both = f"from intrada.core.distributed import device_lock; held = device_lock.acquire({TWO!r}, 2); print(*(each.name for each in held), flush=True)"
    with processes.begun(*asking("cuda-a")) as other:
        assert processes.said(other) == "cuda-a"
        with processes.begun("-c", f"{both}; {processes.SLEEP}") as pair:
            assert processes.warned(pair).startswith("waiting for 2 free devices, too few are, last held: ")
            with device_lock.acquire(["cuda-b"])[0].handle:  # which it gives back between two looks
                other.kill()
                other.wait()
            assert processes.said(pair) == "cuda-a cuda-b"


def test_the_index_is_the_place_in_the_devices_asked_for() -> None:
    """A process that sees the second device alone calls it 0, and its lock is that of the second."""
    with device_lock.acquire(["cuda-b"])[0].handle:
        (held,) = device_lock.acquire(["cuda-b", "cuda-a"])
        with held.handle:
            assert (held.index, held.name) == (1, "cuda-a")


def test_a_crash_leaves_a_file_that_locks_nothing(temporary: Path) -> None:
    with processes.begun(*asking("cuda-a")) as process:
        assert processes.said(process) == "cuda-a"
        process.kill()
        process.wait()
    (left,) = temporary.rglob("*.lock")
    assert left.read_text().startswith(f"process {process.pid} ")
    with processes.begun(*asking("cuda-a")) as process:
        assert processes.said(process) == "cuda-a"


def test_the_folder_is_open_to_its_user_alone_and_another_is_refused(temporary: Path) -> None:
    with device_lock.acquire(TWO)[0].handle:
        (folder,) = temporary.iterdir()
        assert (folder.name, folder.stat().st_mode & 0o777) == (f"intrada-{os.getuid()}", 0o700)
    folder.chmod(0o777)
    with pytest.raises(UserError, match="nobody else may write"):
        device_lock.acquire(TWO)
    folder.rename(temporary / "elsewhere")
    folder.symlink_to(temporary / "elsewhere")
    with pytest.raises(UserError, match=f"intrada-{os.getuid()}: belongs to user"):
        device_lock.acquire(TWO)
