"""Write ZIP archives whose bytes depend on their contents alone."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from intrada.core import files

_READABLE = 0o644 << 16  # the permissions of an extracted file; without them unzip makes it unreadable


@contextmanager
def archive(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Yield a function that adds a file (name with /, content) to a ZIP archive at `path`.

    The archive appears if the block succeeds. Nothing is compressed, since images already are, and all files
    have the date 1980-01-01.
    """
    with files.atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as zipped:

        def add(name: str, content: bytes) -> None:
            info = zipfile.ZipInfo(name)
            info.external_attr = _READABLE
            zipped.writestr(info, content)

        yield add
