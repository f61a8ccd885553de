"""Conversion of the values of label images, ids or colours, to train indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intrada.core import files
from intrada.core.config.classes import IGNORE, MAX_CLASSES, ClassSet
from intrada.core.errors import UserError

UNKNOWN = MAX_CLASSES  # marks raw values that the dataset does not define; no class has this index
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Coding:
    """The meaning of the raw values of a dataset's labels.

    table: uint8, raw value -> train index, IGNORE or UNKNOWN; values beyond its length are UNKNOWN.
    shown: describes a raw value in words. allowed, fix: for the error about UNKNOWN values.
    """

    table: np.ndarray
    shown: Callable[[int], str]
    allowed: str
    fix: str

    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """Convert raw values (H, W), integers, to (H, W) uint8 with indices 0..C-1 or 255 (ignored).

        path: the file, for the error. Raises UserError, which lists the values, if some are UNKNOWN.
        """
        label: np.ndarray = self.table[np.minimum(raw, len(self.table) - 1)]
        unknown = (label == UNKNOWN) | (raw >= len(self.table))
        if not unknown.any():
            return label
        values, counts = np.unique(raw[unknown], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        found = [f"{self.shown(int(values[i]))} ({counts[i]} pixels)" for i in order[:5]]
        more = f" and {len(values) - 5} more" if len(values) > 5 else ""
        raise UserError(path, f"unknown {', '.join(found)}{more}", self.allowed, self.fix)


def id_coding(classes: ClassSet, names: Mapping[int, str], ignored: Iterable[int], fix: str) -> Coding:
    """Return the coding of labels with ids. names: class names by id; ignored: ids of no class."""
    table = classes.table(names)
    known = [*names, *ignored]
    unknown = np.ones(len(table), bool)
    unknown[known] = False
    table[unknown] = UNKNOWN
    allowed = f"the ids {', '.join(str(raw) for raw in sorted(set(known)))}"
    return Coding(table, lambda raw: f"id {raw}", allowed, fix)


def color_coding(classes: ClassSet, names: Mapping[Color, str], ignored: Iterable[Color], fix: str) -> Coding:
    """Return the coding of labels with (red, green, blue) colours; raw values are those of `read_colors`."""
    colors = [*names, *ignored]
    # Uses the positions of the names as ids, so that `ClassSet.table` checks the names.
    indices = classes.table(dict(enumerate(names.values())))
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for position, color in enumerate(colors):
        table[_packed(color)] = indices[position] if position < len(names) else IGNORE
    allowed = f"the colours {', '.join(f'#{_packed(color):06x}' for color in colors)}"
    return Coding(table, lambda raw: f"colour #{raw:06x}", allowed, fix)


def read_colors(path: Path) -> np.ndarray:
    """Return the colours of an image, (H, W) int32, as red * 65536 + green * 256 + blue."""
    bgr = files.read_image(path).astype(np.int32)
    packed: np.ndarray = bgr[:, :, 2] << 16 | bgr[:, :, 1] << 8 | bgr[:, :, 0]
    return packed


def _packed(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
