"""Cache of what `check` found in images and labels, so that a second check decodes only what has changed.

As in intrada/core/hash_cache.py a file is unchanged if its inode, size and times are, and a file that changed
less than two seconds ago is not cached. An entry counts only for the code and the decoders that made it.
Errors are not cached.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import PIL

from intrada.core import atomic
from intrada.core.errors import UserError
from intrada.core.hash_cache import MIN_AGE_NS

PATH = Path("logs/checked_files.json")
LIMIT = 400_000  # entries; the oldest are dropped
_PACKAGES = [Path(__file__).parents[2] / name for name in ("core", "data")]
Lookup = Callable[[str, Path, Callable[[], Any]], Any]


def no_cache(_kind: str, _file: Path, compute: Callable[[], Any]) -> Any:
    """Compute every value."""
    return compute()


@contextmanager
def opened(path: Path = PATH) -> Iterator[Lookup]:
    """Yield a function (kind, file, compute) -> the JSON value of `compute()`, cached for the file and kind.

    The cache is written when the block ends, also after an error. A missing or damaged `path` counts as
    empty; if it cannot be written there is no error.
    """
    version = _version()
    entries = _read(path, version)
    new = 0

    def lookup(kind: str, file: Path, compute: Callable[[], Any]) -> Any:
        nonlocal new
        name = f"{kind} {file.as_posix()}"
        start, state = time.time_ns(), _state(file)
        if (entry := entries.get(name)) and entry[0] == state:
            return entry[1]
        value = compute()
        if state and max(state[2:]) + MIN_AGE_NS < start and _state(file) == state:
            entries.pop(name, None)  # so that the newest entries come last
            entries[name] = [state, value]
            new += 1
        return value

    try:
        yield lookup
    finally:
        if new:
            _write(path, version, dict(list(entries.items())[-LIMIT:]))


def _state(file: Path) -> list[int]:
    """Return inode, size and times; [] if there is no such file."""
    with suppress(OSError):
        status = file.stat()
        return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    return []


def _version() -> str:
    """Return a hash of the modules that read images and labels, with the versions of the decoders."""
    digest = hashlib.blake2b(f"{cv2.__version__} {PIL.__version__}".encode(), digest_size=16)
    for path in sorted(path for package in _PACKAGES for path in package.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path, version: str) -> dict[str, Any]:
    """Return the entries; none if the header is not that of this version and of the following bytes."""
    with suppress(OSError, ValueError):
        header, _, body = path.read_bytes().partition(b"\n")
        if header == _header(version, body):
            entries: dict[str, Any] = json.loads(body)
            return entries
    return {}


def _write(path: Path, version: str, entries: dict[str, Any]) -> None:
    with suppress(UserError, OSError):
        body = json.dumps(entries, separators=(",", ":")).encode("ascii")
        atomic.write_bytes(path, _header(version, body) + b"\n" + body)


def _header(version: str, body: bytes) -> bytes:
    return f"intrada checked files 1 {version} {hashlib.blake2b(body, digest_size=16).hexdigest()}".encode()
