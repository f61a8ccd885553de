"""Fingerprints of files and folders: by content, or by size and time for data too large to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from intrada.core.files import list_files, unreadable


def _digest(path: Path, of_file: Callable[[Path], str]) -> str:
    """`of_file` of a file; of a folder, the hash over every file's relative name and `of_file`."""

    def named(file: Path) -> str:
        try:
            return of_file(file)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            raise unreadable(file, error, "a readable file or folder") from error

    try:
        inside = list_files(path) if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "a readable file or folder") from error
    if inside is None:
        return named(path)
    return joint_fingerprint({file.relative_to(path).as_posix(): named(file) for file in inside})


def joint_fingerprint(found: Mapping[str, str]) -> str:
    """32 hex digits for several files, given the fingerprint of each name; the order counts.

    Of a folder's files, by relative name and sorted as `list_files` does, it is the folder's `fingerprint`.
    """
    lines = "".join(f"{name}\0{fingerprint}\n" for name, fingerprint in found.items())
    return hashlib.blake2b(lines.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """32 hex digits (blake2b) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def fingerprint(path: Path, of_file: Callable[[Path], str] = file_hash) -> str:
    """32 hex digits that change with a file's bytes, or with a folder's names and bytes.

    of_file: `file_hash`, or the same from a cache (see hash_cache).
    """
    return _digest(path, of_file)


def stat_fingerprint(path: Path, times: bool = True) -> str:
    """The same over names, sizes and modification times: quick, for raw data nobody rewrites.

    times: without them, a copy of the data has the same fingerprint.
    """

    def stat(file: Path) -> str:
        status = file.stat()
        line = f"{file.name}\0{status.st_size}" + (f"\0{status.st_mtime_ns}" if times else "")
        return hashlib.blake2b(line.encode(errors="surrogateescape"), digest_size=16).hexdigest()

    return _digest(path, stat)
