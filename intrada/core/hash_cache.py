"""Cache of file hashes: a stage does not read again a file that has not changed since it was hashed.

A file counts as unchanged if its inode, size, modification time (mtime) and change time (ctime) equal those
at the time of hashing. Every write sets the ctime to the present; so does a program that sets the mtime back.
A file that changed less than two seconds before it was hashed is not cached: a second change could get the
same times.

Changes that the cache does not detect:
- below the file system, such as those of a failing disk;
- through a memory map (mmap) until the kernel sets the times, up to 30 seconds later;
- while the clock of a file server is more than two seconds behind this machine's;
- after a clock was set back to exactly the same nanosecond.
`intrada verify` reads every byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from intrada.core import atomic, hashing
from intrada.core.errors import UserError

PATH = Path("logs/file_hashes.txt")
# A file must be older than this to be cached, nanoseconds. FAT has the coarsest time stamps: two seconds.
MIN_AGE_NS = 2_000_000_000
_FORMAT = "intrada file hashes 1"
_Entry = tuple[list[int], str]  # inode, size, mtime_ns and ctime_ns; the hash


@contextmanager
def opened(
    path: Path = PATH, of_file: Callable[[Path], str] | None = None
) -> Iterator[Callable[[Path], str]]:
    """Yield a function that returns `of_file` of a file and reads changed files only.

    of_file: None for `hashing.file_hash`; every other function needs a `path` of its own. New hashes are
    written to the file `path` when the block ends, also after an error. A missing or corrupt `path` counts as
    empty. If it cannot be written there is no error; the next run reads more files. Processes that write at
    the same time may lose entries, but an entry is never wrong.
    """
    known = _read(path)
    new: dict[str, _Entry] = {}

    def file_hash(file: Path) -> str:
        start, state, name = time.time_ns(), _state(file), file.as_posix()
        if name in known and known[name][0] == state:
            return known[name][1]
        value = (of_file or hashing.file_hash)(file)
        if max(state[2:]) + MIN_AGE_NS < start and _state(file) == state:
            new[name] = state, value
        return value

    try:
        yield file_hash
    finally:
        if new:
            with suppress(UserError, OSError):
                _write(path, _read(path) | new)


def _state(file: Path) -> list[int]:
    """Return inode, size and times; not the device, whose number may change when a disk is mounted again."""
    status = file.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read(path: Path) -> dict[str, _Entry]:
    """Return the entries by file name; none if the checksum in the first line does not match the second."""
    with suppress(OSError, ValueError):
        header, _, body = path.read_text(encoding="ascii").partition("\n")
        if header == _header(body):
            return {name: (state, value) for name, (state, value) in json.loads(body).items()}
    return {}


def _write(path: Path, entries: Mapping[str, _Entry]) -> None:
    """Write the entries, except those of files that no longer exist."""
    body = json.dumps({name: entry for name, entry in entries.items() if os.path.lexists(name)})
    atomic.write_bytes(path, f"{_header(body)}\n{body}".encode("ascii"))


def _header(body: str) -> str:
    return f"{_FORMAT} {hashlib.blake2b(body.encode(), digest_size=16).hexdigest()}"
