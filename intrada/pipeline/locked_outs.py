"""The outputs as dvc.lock names them: path and MD5. For outputs that have no record in this checkout."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intrada.core import hash_cache, hashing
from intrada.core.config import plain_yaml
from intrada.core.file_lists import list_files

LOCK = Path("dvc.lock")
MD5_CACHE = Path("logs/file_md5.txt")
_PAUSE, _TRIES = 0.3, 10  # seconds between two readings of a dvc.lock that is being written


@dataclass(frozen=True)
class LockedOut:
    """An output in dvc.lock. md5: 32 hex digits, for a folder the MD5 of DVC's list of its files.

    stage: the name of the job that writes it; deps: what this job reads; size: bytes in total, None if
    dvc.lock does not say it.
    """

    stage: str
    md5: str
    is_folder: bool
    deps: tuple[str, ...]
    size: int | None = None


def read(project: Path) -> dict[Path, LockedOut]:
    """Return the outputs in the dvc.lock of the folder `project`, by path within this folder.

    Empty if there is no dvc.lock, or one that cannot be read. Outputs whose hash is not a plain MD5 are left
    out. DVC writes the file in place, so a file that changes is read again.
    """
    if not (project / LOCK).exists():
        return {}
    text, outs = _text(project / LOCK), None
    for _ in range(_TRIES):
        outs = _parsed(text)
        if outs is not None:
            break
        time.sleep(_PAUSE)
        before, text = text, _text(project / LOCK)
        if text == before:  # nobody writes it: it is broken
            break
    return outs or {}


def settled(project: Path) -> dict[Path, LockedOut]:
    """Return the same as `read`, once dvc.lock has not changed for a moment."""
    text = None
    for _ in range(_TRIES):
        before, text = text, _text(project / LOCK)
        if text == before:
            break
        time.sleep(_PAUSE)
    return read(project)


def md5(path: Path) -> str:
    """Return the MD5 of a file's bytes, 32 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def matches(path: Path, out: LockedOut, of_file: Callable[[Path], str]) -> bool:
    """Return whether the file or folder at `path` has the content that dvc.lock names. of_file: its `md5`."""
    if not path.exists() or path.is_dir() != out.is_folder:
        return False
    if not out.is_folder:
        return hashing.fingerprint(path, of_file) == out.md5
    return digest(folder_list(path, of_file)) == out.md5


def folder_list(folder: Path, of_file: Callable[[Path], str]) -> bytes:
    """Return DVC's list of the files of a folder, whose MD5 is that of the folder. of_file: their `md5`."""
    found = [file for file in list_files(folder) if file.exists()]  # no links to nothing
    paths = {file.relative_to(folder).as_posix(): file for file in found}
    entries = [{"md5": hashing.fingerprint(paths[name], of_file), "relpath": name} for name in sorted(paths)]
    return json.dumps(entries, sort_keys=True).encode()


def digest(data: bytes) -> str:
    """Return the MD5 of `data`, 32 hex digits."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def cached_matches(path: Path, out: LockedOut) -> bool:
    """Return `matches`, with hashes of unchanged files from MD5_CACHE."""
    with hash_cache.opened(MD5_CACHE, md5) as of_file:
        return matches(path, out, of_file)


def project_of(folder: Path) -> Path | None:
    """Return the nearest folder with a dvc.lock, `folder` or one above it in the same DVC project."""
    for current in (folder, *folder.parents):
        if (current / LOCK).exists():
            return current
        if (current / ".dvc").is_dir():
            break
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _parsed(text: str | None) -> dict[Path, LockedOut] | None:
    """Return the outputs in the text of a dvc.lock; None if it cannot be read."""
    try:
        lock: Any = plain_yaml.parse_generated(text or "")
        return {
            Path(out["path"]): _locked_out(name, stage, out)
            for name, stage in lock["stages"].items()
            for out in stage.get("outs", [])
            if out.get("hash") == "md5" and "md5" in out
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _locked_out(name: str, stage: dict[str, Any], out: dict[str, Any]) -> LockedOut:
    value, is_folder = out["md5"].removesuffix(".dir"), out["md5"].endswith(".dir")
    return LockedOut(
        name, value, is_folder, tuple(dep["path"] for dep in stage.get("deps", [])), out.get("size")
    )
