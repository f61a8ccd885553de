"""Lock files (flock): one process at a time. The kernel releases the lock when the process ends.

A lock file that remains after a crash is unlocked. Lock files are never removed, because another process may
have one open. The file contains the name of the process that holds the lock, for error messages.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

from intrada.core.atomic import writing
from intrada.core.errors import UserError

Handle = IO[str]
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # flock on NFS or Lustre without it
_MAX_COMMAND = 60  # characters of a command in a message


def try_acquire(path: Path) -> IO[str] | None:
    """Lock the file `path` and return its handle; None if another process holds the lock.

    The lock is released when the handle is closed or the process ends. The file and its folder are created
    if needed. Child processes do not inherit the lock. UserError if the file cannot be created (a symbolic
    link is refused) or the disk does not support locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise
    except BlockingIOError:
        return None
    except OSError as error:
        raise _cannot_lock(path, error) from error
    job = f", SLURM job {os.environ['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in os.environ else ""
    name = f"process {os.getpid()} on {socket.gethostname()}{job} ({_command()})"
    with writing(path):
        handle.truncate(0)
        os.write(
            handle.fileno(), name.encode(errors="backslashreplace")
        )  # unbuffered: close() must not write
    return handle


def share(path: Path) -> Handle:
    """Wait until no process holds the lock on `path` alone, and return the handle of a share of it.

    Any number of processes have a share at the same time. Handle, file and errors are as in `try_acquire`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
        except BaseException:
            handle.close()
            raise
    except OSError as error:
        raise _cannot_lock(path, error) from error
    return handle


def is_alone(handle: Handle) -> bool:
    """Return whether no other process has a share; if so, this process holds the lock alone from now on.

    Otherwise its share has ended. Of several processes that ask at the end of their work, one gets True.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Return whether a process, on whichever host, holds the lock on `path`; False if there is no file.

    Processes that ask at the same time do not disturb each other, but for a moment `try_acquire` may see the
    question as a lock. UserError as in `try_acquire`.
    """
    try:
        with path.open(encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise _cannot_lock(path, error) from error
    return False


def holder(path: Path) -> str:
    """Return who holds the lock on `path`: `process 12 on host (intrada score ...)`."""
    return path.read_text(encoding="utf-8") or "a process that has just begun"


def acquire(path: Path, resource: str) -> IO[str]:
    """Lock the file `path`, which guards `resource`, and return its handle, as `try_acquire` does.

    UserError with the name of the holder if another process holds the lock.
    """
    if (handle := try_acquire(path)) is None:
        raise UserError(
            path,
            f"{holder(path)} holds {resource}",
            "one process at a time",
            "wait for it to end, or stop it; nothing was changed",
        )
    return handle


def _cannot_lock(path: Path, error: OSError) -> UserError:
    if error.errno in _NO_LOCKS:
        return UserError(
            path,
            f"is on a disk without file locks ({error.strerror})",
            "a disk with flock: a local one, NFS 4, NFS 3 with lockd, Lustre mounted with the option flock",
            "move the checkout (or TMPDIR, if the file is there) to such a disk, or have it mounted so",
        )
    return UserError(
        path,
        f"cannot be locked ({error.strerror})",
        "a file that this user may write",
        "fix the permissions",
    )


def _open(path: Path) -> IO[str]:
    """Open for appending, so that the name of a process that holds the lock is not overwritten."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    return os.fdopen(descriptor, "r+", encoding="utf-8", errors="backslashreplace")


def _command() -> str:
    """Return this process's command on one line: `intrada train_inter --source ...`."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    line = " ".join([name, *sys.argv[1:]])
    return line if len(line) <= _MAX_COMMAND else f"{line[:_MAX_COMMAND]}..."
