"""Errors for files and folders that cannot be read."""

from __future__ import annotations

import stat
from errno import ENAMETOOLONG
from pathlib import Path

from intrada.core.errors import UserError, shortened

REPLACE_FILE = "fix or replace it; if a stage wrote it, run that stage again"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long for the disk
        return True


def unreadable(path: Path, why: Exception | str, allowed: str) -> UserError:
    """Return the UserError for a file or folder that is missing, not readable, empty or broken."""
    if isinstance(why, PermissionError):
        found = "this user may not read it"
    elif not _exists(path):
        found = (
            f"a link to {path.readlink()}, which does not exist"
            if path.is_symlink()
            else "no such file or folder"
        )
    elif isinstance(why, IsADirectoryError):
        found = "a folder, but a file is expected"
    elif isinstance(why, OSError) and why.errno == ENAMETOOLONG:
        found = "a name that is too long"
    elif path.is_file() and path.stat().st_size == 0:
        found = "an empty file (0 bytes)"
    else:
        found = shortened(" ".join(str(why).split()), 400) or type(why).__name__
    return UserError(path, found, allowed, REPLACE_FILE)


def refuse_special(path: Path, allowed: str) -> None:
    """Raise UserError unless `path` is a file: a pipe may be waited for without end, a device has no end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise unreadable(path, error, allowed) from error
    if stat.S_ISDIR(mode):
        raise unreadable(path, IsADirectoryError(), allowed)
    if not stat.S_ISREG(mode):
        raise unreadable(path, "a pipe, a socket or a device, but a file is expected", allowed)
