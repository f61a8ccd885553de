"""Palettes of label PNGs whose pixels are read as ids: one id must have one colour in all files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from intrada.core import files, image_headers
from intrada.core.errors import UserError

_ALLOWED = "one palette for all labels (encoding: ids): an id has the same colour in each file"
_FIX = (
    "if the colours tell the classes, use `encoding: rgb`; if the ids do, save the labels without a palette:"
    ' python -c "from PIL import Image; import numpy as n;'
    " Image.fromarray(n.asarray(Image.open('IN'))).save('OUT.png')\""
)


def used_colors(path: Path) -> dict[str, str]:
    """Return id -> colour (`#rrggbb`) of the ids that occur in a PNG with a palette; {} for other files."""
    palette = image_headers.palette(path)
    if not palette:
        return {}
    ids = np.unique(files.read_label(path))
    return {str(value): f"#{palette[3 * value : 3 * value + 3].hex()}" for value in ids.tolist()}


def conflicts(colors: Iterable[tuple[Path, Mapping[str, str]]]) -> list[UserError]:
    """Return an error for each file in which an id has another colour than in an earlier file."""
    first: dict[str, tuple[str, Path]] = {}
    faults = []
    for path, used in colors:
        for value, color in used.items():
            before, other = first.setdefault(value, (color, path))
            if before != color:
                found = f"a palette in which id {value} is {color}; in {other} it is {before}"
                faults.append(UserError(path, found, _ALLOWED, _FIX))
                break
    return faults
