"""Locks between real processes: the error of the second process, and the lock file of a killed one."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
from pathlib import Path

import pytest

from intrada.core import locks
from intrada.core.errors import UserError
from tests.support import processes


def holding(path: Path) -> str:
    return f"from pathlib import Path; from intrada.core import locks; held = locks.acquire(Path({str(path)!r}), 'it')"


def test_the_error_names_the_holder_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "deep/a.lock"
    with processes.ready(holding(path)) as first:
        for _ in range(2):  # a refused process does not overwrite the name
            with pytest.raises(UserError, match=rf"process {first.pid} on \S+ \(-c\) holds the run"):
                locks.acquire(path, "the run")
        first.kill()
        first.wait()
        assert path.exists()
        with locks.acquire(path, "the run"):
            assert locks.holder(path).startswith(f"process {os.getpid()} ")


def test_a_lock_ends_with_its_handle(tmp_path: Path) -> None:
    for _ in range(2):
        with locks.acquire(tmp_path / "a.lock", "it"):
            assert locks.try_acquire(tmp_path / "a.lock") is None


def test_a_program_that_the_holder_started_does_not_keep_the_lock(tmp_path: Path) -> None:
    """For example git or a shell that outlives a killed stage."""
    starting = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False)"
    with processes.ready(f"{holding(tmp_path / 'a.lock')}; {starting}") as holder:
        holder.kill()
        holder.wait()
        with locks.acquire(tmp_path / "a.lock", "it"):
            pass  # the child ends when its stdin, the test's pipe, is closed


def test_a_long_command_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/intrada/__main__.py", "rank", "--out", "x" * 500])
    with locks.acquire(tmp_path / "a.lock", "it"):
        assert re.fullmatch(
            r"process \d+ on \S+ \(intrada rank --out x{1,60}\.\.\.\)", locks.holder(tmp_path / "a.lock")
        )


def test_a_file_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "a.lock").symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match=r"a\.lock: cannot be locked \(Too many levels of symbolic links\)"):
        locks.acquire(tmp_path / "a.lock", "it")
    assert (tmp_path / "target").read_text() == "mine"
    with pytest.raises(UserError, match=r"b\.lock: cannot be locked \(File exists\)"):
        locks.acquire(tmp_path / "target/b.lock", "it")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_flock_gets_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As NFS without lockd (ENOLCK) and Lustre without the mount option (ENOSYS, or EOPNOTSUPP)."""
    (tmp_path / "a.lock").touch()

    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for ask in (locks.try_acquire, locks.is_held):
        with pytest.raises(UserError, match=r"(?s)a\.lock: is on a disk without file locks .* option flock"):
            ask(tmp_path / "a.lock")


def test_whether_a_lock_is_held_does_not_disturb_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not locks.is_held(path) and not path.exists()
    with locks.acquire(path, "it"):
        before = path.read_text()
        assert locks.is_held(path) and path.read_text() == before
    assert not locks.is_held(path)


def test_the_holder_names_its_job_of_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with locks.acquire(tmp_path / "a.lock", "it"):
        assert re.match(r"process \d+ on \S+, SLURM job 17 \(", locks.holder(tmp_path / "a.lock"))
