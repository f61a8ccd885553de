"""Atomic writes: a reader, or a run after a crash, sees the old file or the new one, never half of one.

What is being written has a hidden name beside the output, never inside it, so that DVC does not hash
it. A process that is killed leaves it there; the name tells whose it is, and `sweep` removes it.
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
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from pathlib import Path

import psutil

from intrada.core.errors import UserError

_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>[0-9]+)-[0-9a-f]{8}\.tmp")
_WORK = re.compile(r"^\.(?P<name>.+)\.[0-9A-Za-z]+\.work$")
_UNWRITABLE = (EACCES, EDQUOT, ENOSPC, EPERM, EROFS)


def _sibling(path: Path) -> Path:
    """A free hidden name beside `path`, with its suffix (some writers choose the format by it).

    It says which process of which machine writes there, so that what a killed one left can be told.
    """
    owner = f"{_HOST}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.stem}.{owner}.tmp{path.suffix}")


def _name(part: str) -> str:
    """What a part of a path is to become: of a temporary name, the final one."""
    return _WORK.sub(r"\g<name>", _TEMPORARY.sub(r"\g<name>", part))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes `path`: a full or closed disk is a UserError that names it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise UserError(
            Path(*map(_name, path.parts)),
            f"cannot be written ({error.strerror})",
            "a folder that this user may write to, on a disk with room left",
            "free space or fix the folder's permissions, then run the same command again",
        ) from error


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A sibling of `path`, gone afterwards whatever happens; a full or closed disk is a UserError."""
    temporary = _sibling(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
    finally:
        with suppress(OSError):  # of a closed disk, which must not hide the error above
            _remove(temporary)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file written there replaces `path` if the block succeeds.

    Missing parent folders are made. The bytes reach the disk before the name does, so a power cut
    leaves the old file or the new one. If the block raises, `path` is untouched.
    """
    with _temporary(path) as temporary:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary, empty folder that replaces `path`, old content and all, on success.

    The swap takes two renames: a SIGKILL between them leaves no `path`, and the old content in a hidden
    sibling, until the next `sweep`. Files are not forced to the disk one by one (25,000 of them would
    take minutes).
    """
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        _exchange(temporary, path)


@contextmanager
def resumed_folder(path: Path, key: str) -> Iterator[Path]:
    """Like `atomic_folder`, but what a block that was interrupted or killed has written is there next time.

    A block that fails (an Exception) leaves nothing: fixed input is other input, with another key.
    key: letters and digits, for what is being made; what was begun under another one is removed. A file in
    the folder must be whole, so to be written with `atomic_file`. For one process at a time.
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
    """The folder `new` replaces `path`, as `atomic_folder` says."""
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
    """Write `data`, atomically; for formats whose own writer does not say that the disk is full."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def sweep(folders: Iterable[Path]) -> None:
    """Remove the temporary files and folders of processes that are no more from `folders`."""
    for folder in folders:
        for path in folder.glob(".*"):
            if _is_stale(path.name):
                with suppress(OSError):  # another process may sweep here too; what stays does no harm
                    _remove(path)


def _is_stale(name: str) -> bool:
    """Whether this is a temporary name of a process, of this machine, that is gone."""
    found = _TEMPORARY.match(name)
    return found is not None and found["host"] == _HOST and not alive(int(found["process"]))


def alive(process: int) -> bool:
    """Whether the process of this number runs; one of another user's counts if only the number is taken.

    A zombie does not run: whoever is process 1 of a container may wait for what was killed seconds later,
    or never. Nor does a thread, whose number may be the dead process's.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's, and where /proc hides those, no more can be said
        return True
    try:
        return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it has ended meanwhile
        return False
