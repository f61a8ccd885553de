"""Hashes of files and folders: of the content, or of size and time for data too large to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from intrada.core.errors import UserError
from intrada.core.file_errors import refuse_special, unreadable
from intrada.core.file_lists import list_files

_NAMED = 5  # broken links in an error


def _digest(path: Path, of_file: Callable[[Path], str]) -> str:
    """Return `of_file(path)`; for a folder, the hash of its files' relative names and their `of_file`."""

    def checked(file: Path) -> str:
        try:
            return of_file(file)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            raise unreadable(file, error, "a readable file or folder") from error

    try:
        members = list_files(path, folder_links=False) if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "a readable file or folder") from error
    if members is None:
        return checked(path)
    try:
        return joint_fingerprint({file.relative_to(path).as_posix(): checked(file) for file in members})
    except UserError as error:
        if len(broken := [file for file in members if file.is_symlink() and not file.exists()]) < 2:
            raise
        names = ", ".join(str(file) for file in broken[:_NAMED]) + ", ..." * (len(broken) > _NAMED)
        found = f"{error.found}; {len(broken)} links lead nowhere: {names}"
        raise UserError(error.where, found, error.allowed, error.fix) from error


def joint_fingerprint(fingerprints: Mapping[str, str]) -> str:
    """Return one fingerprint, 32 hex digits, for several files, given name -> fingerprint. Order matters.

    For the files of a folder, by relative name in the order of `list_files`, the result is the `fingerprint`
    of the folder.
    """
    lines = "".join(f"{name}\0{fingerprint}\n" for name, fingerprint in fingerprints.items())
    return hashlib.blake2b(lines.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def file_hash(path: Path) -> str:
    """Return the 128-bit blake2b hash of a file's bytes, 32 hex digits. UserError for a pipe or a device."""
    refuse_special(path, "a readable file or folder")
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def fingerprint(path: Path, of_file: Callable[[Path], str] = file_hash) -> str:
    """Return the content hash of a file, or of a folder's relative names and bytes; 32 hex digits.

    of_file: hash of one file, `file_hash` or its cached version (see hash_cache). UserError if a file or
    folder cannot be read, or if a folder has a link to a folder, which DVC does not follow.
    """
    return _digest(path, of_file)


def stat_fingerprint(path: Path, times: bool = True) -> str:
    """Return a hash of names, sizes and modification times, 32 hex digits; it reads no content.

    times: include the modification times. Without them, a copy of the data has the same fingerprint.
    UserErrors as from `fingerprint`.
    """

    def stat(file: Path) -> str:
        status = file.stat()
        line = f"{file.name}\0{status.st_size}" + (f"\0{status.st_mtime_ns}" if times else "")
        return hashlib.blake2b(line.encode(errors="surrogateescape"), digest_size=16).hexdigest()

    return _digest(path, stat)
