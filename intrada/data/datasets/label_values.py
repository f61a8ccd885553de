"""The values of label images, ids or colours: their shares of the pixels, and guesses of their classes."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_19, CITYSCAPES_IDS
from intrada.core.errors import UserError
from intrada.data.datasets import palettes
from intrada.data.datasets.coding import read_colors

MOST = 2000  # labels that are read; of more, this many evenly spaced ones
IGNORED = "ignore"  # the name of values that belong to no class
Progress = Callable[[Iterator[Counter[int]], int, str], Iterator[Counter[int]]]


@dataclass(frozen=True)
class LabelValues:
    """The values of the labels of one data set.

    shares: value, an id `7` or a colour `#rrggbb`, -> its share of all pixels, 0..1, ids in their order,
    colours by share. colors: value -> colour `#rrggbb` of the palette, or the value itself. read, total:
    number of labels that were read and that exist. unreadable: number of those that cannot be read.
    """

    shares: dict[str, float]
    colors: dict[str, str]
    read: int
    total: int
    unreadable: int


def count(labels: Sequence[Path], encoding: str, workers: int, progress: Progress) -> LabelValues:
    """Count the pixels of each value. encoding: ids or rgb. Labels that cannot be read are left out."""
    chosen = labels[:: -(-len(labels) // MOST)]

    def one(path: Path) -> Counter[int]:
        try:
            raw = files.read_label(path) if encoding == "ids" else read_colors(path)
        except UserError:  # `check` names it
            return Counter()
        values, counts = np.unique(raw, return_counts=True)
        return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    total, unreadable = Counter[int](), 0
    with ThreadPoolExecutor(workers) as pool:
        for counts in progress(pool.map(one, chosen), len(chosen), "label"):
            total += counts
            unreadable += not counts
    order = sorted(total) if encoding == "ids" else [value for value, _ in total.most_common()]
    pixels = sum(total.values())
    texts = {value: str(value) if encoding == "ids" else f"#{value:06x}" for value in order}
    shares = {texts[value]: total[value] / pixels for value in order}
    colors = _palette(chosen, shares) if encoding == "ids" else {text: text for text in shares}
    return LabelValues(shares, colors, len(chosen), len(labels), unreadable)


def guesses(values: LabelValues, pattern: str) -> dict[str, tuple[str, str]]:
    """Return value -> (name of a Cityscapes class, or IGNORED; the reason), for the values that say so.

    pattern: of the label files, whose names tell the id images of Cityscapes.
    """
    official = {_hex(entry.color): entry.name for entry in CITYSCAPES_IDS.values() if any(entry.color)}
    found = {
        value: (official[color], f"its colour {color} is that of Cityscapes")
        for value, color in values.colors.items()
        if color in official
    }
    if "labelTrainIds" in pattern:
        found |= {
            str(number): (name, "a train id of Cityscapes") for number, name in enumerate(CITYSCAPES_19)
        }
    elif "labelIds" in pattern:
        names = {number: entry.name for number, entry in CITYSCAPES_IDS.items()}
        found |= {
            str(number): (name if name in CITYSCAPES_19 else IGNORED, "an id of Cityscapes")
            for number, name in names.items()
        }
    if "255" in values.shares and len(values.shares) > 2:
        found.setdefault("255", (IGNORED, "255 usually marks pixels without a class"))
    return {value: found[value] for value in values.shares if value in found}


def colors_for(names: Sequence[str], given: Mapping[str, str]) -> dict[str, list[int]]:
    """Return a colour [red, green, blue] for each name, that of `given` (`#rrggbb`) if no other name has it.

    The others get hues that are far apart.
    """
    chosen: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        candidates = [list(bytes.fromhex(given[name][1:]))] if name in given else []
        hues = ((number * 0.618034 + offset) % 1 for offset in np.arange(0, 1, 0.01))
        candidates += [[round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.7, 0.9)] for hue in hues]
        chosen[name] = next(color for color in candidates if color not in chosen.values())
    return chosen


def _palette(paths: Sequence[Path], shares: Mapping[str, float]) -> dict[str, str]:
    """Return the colours of the ids in the palettes of the first labels that have one."""
    colors: dict[str, str] = {}
    for path in paths[:20]:
        try:
            colors = palettes.used_colors(path) | colors
        except (UserError, OSError):
            continue
    return {value: colors[value] for value in shares if value in colors}


def _hex(color: tuple[int, int, int]) -> str:
    return f"#{bytes(color).hex()}"
