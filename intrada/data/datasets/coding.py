"""From what a label image holds, ids or colours, to train indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intrada.core import files
from intrada.core.config.classes import IGNORE, MAX_CLASSES, ClassSet
from intrada.core.errors import UserError

UNKNOWN = MAX_CLASSES  # no class has this index: a raw value that the dataset does not know
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Coding:
    """What the raw values of a dataset's labels mean.

    table: uint8, raw value -> train index, IGNORE or UNKNOWN; its length bounds the raw values.
    shown: a raw value in words. allowed, fix: for the error about a raw value that is UNKNOWN.
    """

    table: np.ndarray
    shown: Callable[[int], str]
    allowed: str
    fix: str

    def decode(self, raw: np.ndarray, path: Path) -> np.ndarray:
        """(H, W) integers -> (H, W) uint8 of indices 0..C-1 and 255; UserError names unknown values."""
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
    """The coding of labels that hold ids: `names` by id, and ids that mean nothing."""
    table = classes.table(names)
    known = [*names, *ignored]
    unknown = np.ones(len(table), bool)
    unknown[known] = False
    table[unknown] = UNKNOWN
    allowed = f"the ids {', '.join(str(raw) for raw in sorted(set(known)))}"
    return Coding(table, lambda raw: f"id {raw}", allowed, fix)


def color_coding(classes: ClassSet, names: Mapping[Color, str], ignored: Iterable[Color], fix: str) -> Coding:
    """The same for labels that hold (red, green, blue) colours; raw values are as from `read_colors`."""
    colors = [*names, *ignored]
    # Through the names' positions, so that `ClassSet.table` checks them as it checks ids.
    indices = classes.table(dict(enumerate(names.values())))
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for position, color in enumerate(colors):
        table[_packed(color)] = indices[position] if position < len(names) else IGNORE
    allowed = f"the colours {', '.join(f'#{_packed(color):06x}' for color in colors)}"
    return Coding(table, lambda raw: f"colour #{raw:06x}", allowed, fix)


def read_colors(path: Path) -> np.ndarray:
    """(H, W) int32: the colours of an image as red * 65536 + green * 256 + blue."""
    bgr = files.read_image(path).astype(np.int32)
    packed: np.ndarray = bgr[:, :, 2] << 16 | bgr[:, :, 1] << 8 | bgr[:, :, 0]
    return packed


def _packed(color: Color) -> int:
    return color[0] << 16 | color[1] << 8 | color[2]
