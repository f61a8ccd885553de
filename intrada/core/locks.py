"""One process at a time: a lock on a file, which ends with the process that holds it, however it ends.

The kernel keeps the lock (`flock`), not the file: a file that a crash left behind locks nothing, and none
is ever removed, since another process may have it open. The holder's name stands in the file, for the
message to whoever comes second.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import IO

from intrada.core.atomic import writing
from intrada.core.errors import UserError

_LONGEST = 60  # characters of a command in a message


def take(path: Path) -> IO[str] | None:
    """The lock on the file `path`, until the handle is closed or the process ends; None if another has it.

    The file is made where there is none, its folder too. Programs started from here do not inherit the
    lock. UserError where the file cannot be made (a symbolic link is refused) or the disk knows no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _opened(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise
    except BlockingIOError:
        return None
    except OSError as error:
        raise UserError(
            path,
            f"cannot be locked ({error.strerror})",
            "a file of this user's on a disk with locks (flock)",
            "fix the permissions, or move to a disk with locks (a Lustre disk needs the mount option flock)",
        ) from error
    name = f"process {os.getpid()} on {socket.gethostname()} ({_command()})"
    with writing(path):
        handle.truncate(0)
        os.write(handle.fileno(), name.encode(errors="backslashreplace"))  # at once: closing must not write
    return handle


def holder(path: Path) -> str:
    """Who has the lock on `path`, as that process wrote it: `process 12 on host (intrada score ...)`."""
    return path.read_text(encoding="utf-8") or "a process that has just begun"


def hold(path: Path, what: str) -> IO[str]:
    """The lock on `path`, which guards `what`; UserError that names the holder if another process has it."""
    if (handle := take(path)) is None:
        raise UserError(
            path,
            f"{holder(path)} holds {what}",
            "one process at a time",
            "wait for it to end, or stop it; nothing was touched",
        )
    return handle


def _opened(path: Path) -> IO[str]:
    """Opened for appending: the holder's name is not lost where another process has the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    return os.fdopen(descriptor, "r+", encoding="utf-8", errors="backslashreplace")


def _command() -> str:
    """What this process was started as, on one line: `intrada train_inter --source ...`."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    line = " ".join([name, *sys.argv[1:]])
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
