"""Hashes of files, kept from one stage to the next: a file that has not changed is not read again.

A file counts as unchanged if its inode, size, modification time and change time (ctime) are what they were
when it was hashed. Every write sets the change time to the present, and so does a program that sets the
modification time back. A file that changed less than two seconds before it was hashed is not kept: a
second change could have the same times.

Not noticed:
- a change below the file system, such as that of a failing disk;
- a write through a memory map (mmap) before the kernel has set the times, up to half a minute later;
- a change while the clock of the disk's server is more than two seconds behind this machine's, or after a
  clock was set back to the very nanosecond.
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
# nanoseconds; the coarsest time stamps in use are FAT's, of two seconds
SETTLED = 2_000_000_000
_FORMAT = "intrada file hashes 1"
_Entry = tuple[list[int], str]  # inode, size, mtime_ns and ctime_ns; the hash


@contextmanager
def opened(path: Path = PATH) -> Iterator[Callable[[Path], str]]:
    """Yield a function with the results of `hashing.file_hash` that reads changed files only.

    What it has read is kept in the file `path` when the block ends, also by an error. A missing or damaged
    `path` counts as empty. One that cannot be written stays as it is, without an error: the next run reads
    more. Processes that write at the same time may lose each other's entries, never mix them up.
    """
    known = _read(path)
    new: dict[str, _Entry] = {}

    def file_hash(file: Path) -> str:
        start, state, name = time.time_ns(), _state(file), file.as_posix()
        if name in known and known[name][0] == state:
            return known[name][1]
        found = hashing.file_hash(file)
        if max(state[2:]) + SETTLED < start and _state(file) == state:
            new[name] = state, found
        return found

    try:
        yield file_hash
    finally:
        if new:
            with suppress(UserError, OSError):
                _write(path, _read(path) | new)


def _state(file: Path) -> list[int]:
    """Without the device: its number may change when a disk is mounted again."""
    found = file.stat()
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _read(path: Path) -> dict[str, _Entry]:
    """The entries by file name; none if the checksum in the first line is not that of the second."""
    with suppress(OSError, ValueError):
        header, _, body = path.read_text(encoding="ascii").partition("\n")
        if header == _header(body):
            return {name: (state, found) for name, (state, found) in json.loads(body).items()}
    return {}


def _write(path: Path, entries: Mapping[str, _Entry]) -> None:
    """Without the entries of files that are gone."""
    body = json.dumps({name: entry for name, entry in entries.items() if os.path.lexists(name)})
    atomic.write_bytes(path, f"{_header(body)}\n{body}".encode("ascii"))


def _header(body: str) -> str:
    return f"{_FORMAT} {hashlib.blake2b(body.encode(), digest_size=16).hexdigest()}"
