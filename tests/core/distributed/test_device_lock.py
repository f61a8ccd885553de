"""Device locks between real processes. The device names are invented; no device is needed."""

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
SHOW = "from intrada.core import plain_text; plain_text.show()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set the folder for temporary files, in this process and its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path


def locking(*devices: str) -> tuple[str, str]:
    """Return the arguments of a program that locks a device, prints its name, and keeps it until killed."""
    script = f"{SHOW}; from intrada.core.distributed import device_lock; (held,) = device_lock.acquire({devices!r}); print(held.name, flush=True)"
    return "-c", f"{script}; {processes.SLEEP}"


def test_two_at_once_get_two_devices_and_a_third_waits_for_one_that_is_killed() -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(processes.begun(*locking(*TWO))) for _ in range(2))
        given = {processes.said(process): process for process in (first, second)}
        assert sorted(given) == sorted(TWO)
        third = stack.enter_context(processes.begun(*locking(*TWO)))
        a, b = (rf"{name} by process {given[name].pid} on \S+ \(-c.*\)" for name in TWO)
        assert re.fullmatch(f"waiting for a free device; last held: {a}; {b}", processes.warned(third))
        given["cuda-b"].kill()
        assert processes.said(third) == "cuda-b"
        assert processes.warned(third) == "continuing with cuda-b"  # the message on waiting comes once
        given["cuda-a"].kill()
        given["cuda-a"].wait()
        with (held := device_lock.acquire(TWO)[0]).handle:
            assert held.name == "cuda-a"


def test_six_processes_share_two_devices_and_no_two_have_one_at_once() -> None:
    spans = (
        "import time; from intrada.core.distributed import device_lock; device_lock.POLL = 0.02\n"
        f"(held,) = device_lock.acquire({TWO!r}); start = time.monotonic_ns(); time.sleep(0.05)\n"
        "print(held.name, start, time.monotonic_ns(), flush=True)"
    )
    with ExitStack() as stack:
        programs = [stack.enter_context(processes.begun("-c", spans)) for _ in range(6)]
        lines = sorted(processes.said(process).split() for process in programs)
    assert len(lines) == len(programs)
    for (name, _, end), (next_name, start, _) in itertools.pairwise(lines):
        assert name != next_name or int(end) <= int(start)


def test_a_process_that_waits_for_two_devices_holds_none() -> None:
    both = f"{SHOW}; from intrada.core.distributed import device_lock; held = device_lock.acquire({TWO!r}, 2); print(*(lock.name for lock in held), flush=True)"
    with processes.begun(*locking("cuda-a")) as other:
        assert processes.said(other) == "cuda-a"
        with processes.begun("-c", f"{both}; {processes.SLEEP}") as pair:
            assert processes.warned(pair).startswith("waiting for 2 free devices; last held: ")
            with device_lock.acquire(["cuda-b"])[0].handle:  # released between two attempts of the pair
                other.kill()
                other.wait()
            assert processes.said(pair) == "cuda-a cuda-b"


def test_the_index_is_that_in_the_list_of_devices() -> None:
    """A process that sees only the second device has it at index 0; the lock is named by the device."""
    with device_lock.acquire(["cuda-b"])[0].handle:
        (held,) = device_lock.acquire(["cuda-b", "cuda-a"])
        with held.handle:
            assert (held.index, held.name) == (1, "cuda-a")


def test_the_lock_file_of_a_crashed_process_is_unlocked(temporary: Path) -> None:
    with processes.begun(*locking("cuda-a")) as process:
        assert processes.said(process) == "cuda-a"
        process.kill()
        process.wait()
    (lock,) = temporary.rglob("*.lock")
    assert lock.read_text().startswith(f"process {process.pid} ")
    with processes.begun(*locking("cuda-a")) as process:
        assert processes.said(process) == "cuda-a"


def test_the_folder_is_writable_by_its_user_alone_and_others_are_refused(temporary: Path) -> None:
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
