"""Your own data, described by options: the paths of images and labels, and the meaning of the labels' values.

options:
  images: photos/**/*.{png,jpg}     # a pattern below root (see patterns.py), of PNG and JPEG images
  labels: masks/{stem}.png          # {stem}: the part that the glob's wildcards match; null: no labels
  encoding: ids                     # or rgb
  mapping: {sky: [0], tree: [5, 6]} # class: its ids; rgb: its colours, {sky: ['#4682b4'], ...}
  ignore: [11, 255]                 # ids (rgb: colours) that belong to no class
  exclude: [photos/old]             # patterns of files that are left out, or of folders with all their files
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.errors import UserError
from intrada.data.datasets import patterns
from intrada.data.datasets.base import Dataset, Layout, exclude_of, options_of
from intrada.data.datasets.coding import Color, color_coding, id_coding, read_colors

Value = TypeVar("Value", int, Color)
_WHERE = "options of folders"
_FIX = "add them to `mapping`, or to `ignore` if they belong to no class"
_FORM = "each class -> a list of its ids, or of its colours as '#rrggbb'"
_DEFAULTS: dict[str, Any] = {
    "images": None, "labels": None, "encoding": "ids", "mapping": {}, "ignore": [], "exclude": [],
}  # fmt: skip


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Return the images and labels below `root` that the options describe, see this module's docstring.

    Raises UserError for a missing or unknown key, a pattern that leaves `root`, a class name that is neither
    one of `classes` nor a Cityscapes name, and an id or colour that is listed twice.
    """
    chosen = options_of("folders", options, _DEFAULTS)
    images = patterns.of_option(_WHERE, "images", chosen["images"], "images/*.png")
    labels = chosen["labels"]
    if labels is not None:
        labels = patterns.of_option(_WHERE, "labels", labels, f"labels/{patterns.STEM}.png")
        if labels.count(patterns.STEM) != 1 or not labels.lower().endswith(".png"):
            raise _wrong(
                "labels",
                labels,
                f"one {patterns.STEM} and the ending .png, such as labels/{patterns.STEM}.png",
            )
    if chosen["encoding"] not in ("ids", "rgb"):
        raise _wrong("encoding", chosen["encoding"], "ids or rgb")
    if not isinstance(chosen["mapping"], Mapping) or (labels is not None and not chosen["mapping"]):
        raise _wrong("mapping", chosen["mapping"], _FORM)
    if not isinstance(chosen["ignore"], list):
        raise _wrong("ignore", chosen["ignore"], "a list of ids (encoding: rgb: of colours)")
    layout = Layout(root, images, labels, exclude=exclude_of("folders", chosen["exclude"]))
    if chosen["encoding"] == "ids":
        ids = id_coding(classes, *_by_value(chosen["mapping"], chosen["ignore"], _id), _FIX)
        return Dataset(layout, split, classes, lambda path: ids.decode(files.read_label(path), path), True)
    colors = color_coding(classes, *_by_value(chosen["mapping"], chosen["ignore"], _color), _FIX)
    return Dataset(layout, split, classes, lambda path: colors.decode(read_colors(path), path))


def _by_value(
    mapping: Mapping[object, Any], ignored: list[Any], read: Callable[[object], Value]
) -> tuple[dict[Value, str], list[Value]]:
    """Return the class of each id or colour, and those of no class. Raises UserError for duplicates."""
    names: dict[Value, str] = {}
    for name, entries in mapping.items():
        if not isinstance(name, str) or not isinstance(entries, list) or not entries:
            raise _wrong("mapping", {name: entries}, _FORM)
        for entry in entries:
            value = read(entry)
            if value in names:
                raise _duplicate(entry, f"{names[value]} and {name}")
            names[value] = name
    void: list[Value] = []
    for entry in ignored:
        value = read(entry)
        if value in names or value in void:
            raise _duplicate(entry, f"{names.get(value, 'ignore')} and ignore")
        void.append(value)
    return names, void


def _duplicate(entry: object, owners: str) -> UserError:
    return _wrong("mapping or ignore", entry, f"each id or colour once; it is listed for {owners}")


def _id(entry: object) -> int:
    if isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry <= 255:
        return entry
    raise _wrong("mapping or ignore", entry, "ids as whole numbers from 0 to 255 (encoding: ids)")


def _color(entry: object) -> Color:
    if isinstance(entry, str) and re.fullmatch("#[0-9a-fA-F]{6}", entry):
        red, green, blue = bytes.fromhex(entry[1:])
        return red, green, blue
    raise _wrong("mapping or ignore", entry, "colours as '#rrggbb', in quotes (encoding: rgb)")


def _wrong(key: str, value: object, allowed: str) -> UserError:
    return UserError(
        _WHERE,
        f"{key}: {value!r}",
        allowed,
        "correct this key; the top of intrada/data/datasets/folders.py describes all keys",
    )
