"""Atomic writes: a reader, or a run after a crash, sees the old file or the new one, never a partial one.

The temporary file has a hidden name beside the output, not inside it, so that DVC does not hash it. It
contains the host and the process id of its writer, so that `sweep` can remove the files of killed processes.
"""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, EFBIG, EIO, ENAMETOOLONG, ENOSPC, EPERM, EROFS, ESTALE
from pathlib import Path

import psutil

from intrada.core.errors import UserError

_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>[0-9]+)-[0-9a-f]{8}\.tmp")
_WORK = re.compile(r"^\.(?P<name>.+)\.[0-9A-Za-z]+\.work$")
UNWRITABLE = (EACCES, EDQUOT, EFBIG, EIO, ENOSPC, EPERM, EROFS, ESTALE)


def _sibling(path: Path) -> Path:
    """Return an unused hidden name beside `path`, with its suffix (some writers choose the format by it)."""
    owner = f"{_HOST}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.stem}.{owner}.tmp{path.suffix}")


def _final_name(component: str) -> str:
    """Return a component of a path with a temporary name replaced by the final one."""
    return _WORK.sub(r"\g<name>", _TEMPORARY.sub(r"\g<name>", component))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of a block that writes `path` into UserErrors: a full or read-only disk, no permission."""
    try:
        yield
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            found = "a name that is too long, or a path that is"
            raise UserError(path, found, "names of at most 200 bytes", "choose a shorter one") from error
        if error.errno not in UNWRITABLE:
            raise
        raise unwritable(Path(*map(_final_name, path.parts)), error) from error


def unwritable(where: str | Path, error: OSError) -> UserError:
    """Return the UserError for an error with one of the numbers UNWRITABLE."""
    fix = (
        "raise the limit (ulimit -f unlimited)"
        if error.errno == EFBIG
        else ("free space or fix the folder's permissions")
    )
    return UserError(
        where,
        f"cannot be written ({error.strerror})",
        "a folder that this user may write to, on a disk with free space",
        f"{fix}, then run the same command again",
    )


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`, which is removed after the block. UserErrors as in `writing`."""
    temporary = _sibling(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
    finally:
        with suppress(OSError):  # a read-only disk: this error must not hide the one above
            _remove(temporary)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file written there replaces `path` if the block succeeds.

    Missing parent folders are created. The file is synced (fsync) before the rename, so a power failure
    leaves the old file or the new one. If the block raises, `path` is unchanged. UserErrors as in `writing`.
    """
    with _temporary(path) as temporary:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary, empty folder that replaces `path` and its old content if the block succeeds.

    The replacement takes two renames. After a SIGKILL between them `path` is missing, and the old content is
    in a hidden sibling until the next `sweep`. Files are not synced (fsync) one by one, because that would
    take minutes for 25,000 files. UserErrors as in `writing`.
    """
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        _exchange(temporary, path)


@contextmanager
def resumed_folder(path: Path, key: str) -> Iterator[Path]:
    """Like `atomic_folder`, but an interrupted or killed block resumes with the files it has written.

    On an Exception the work folder is removed, because the corrected input will have another key.
    key: letters and digits that identify the input; work folders of other keys are removed. Write files
    within the folder with `atomic_file`, so that each is complete. One process at a time.
    """
    work = path.with_name(f".{path.name}.{key}.work")
    with writing(path):
        for other in path.parent.glob(f".{glob.escape(path.name)}.*.work"):
            if other != work:
                _remove(other)
        work.mkdir(parents=True, exist_ok=True)
        sweep([work])
        try:
            yield work
        except Exception:
            _remove(work)
            raise
        _exchange(work, path)


def _exchange(new: Path, path: Path) -> None:
    """Replace `path` by the folder `new`, as described in `atomic_folder`."""
    retired = _sibling(path)
    try:
        if path.exists():
            path.rename(retired)
        new.rename(path)
    except BaseException:
        if retired.exists() and not path.exists():
            retired.rename(path)
        raise
    _remove(retired)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` atomically; for formats whose own writer does not report a full disk."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def sweep(folders: Iterable[Path]) -> None:
    """Remove from `folders` the temporary files and folders of processes that have ended."""
    for folder in folders:
        for path in folder.glob(".*"):
            if _is_stale(path.name):
                with suppress(OSError):  # another process may remove it at the same time
                    _remove(path)


def _is_stale(name: str) -> bool:
    """Return whether this is a temporary name of a process of this machine that has ended."""
    match = _TEMPORARY.match(name)
    return match is not None and match["host"] == _HOST and not alive(int(match["process"]))


def alive(process: int) -> bool:
    """Return whether the process with this id runs. An id of another user's process counts as running.

    A zombie does not count: PID 1 of a container may reap killed processes late or never. A thread does not
    count either; its id may be that of the dead process.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process; /proc may hide whether it is a zombie
        return True
    try:
        return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # ended between the two calls
        return False
