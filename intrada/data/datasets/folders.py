"""Your own data, described by options: where images and labels lie, and what the labels' values mean.

options:
  images: photos/**/*.jpg           # a glob relative to root; PNG and JPEG
  labels: masks/{stem}.png          # {stem}: what the glob's wildcards stand for; null: no labels
  encoding: ids                     # or rgb
  mapping: {sky: [0], tree: [5, 6]} # class: its ids; rgb: its colours, {sky: ['#4682b4'], ...}
  ignore: [11, 255]                 # ids (rgb: colours) that belong to no class
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.errors import UserError
from intrada.data.datasets.base import STEM, Dataset, Layout, options_of, pattern_of
from intrada.data.datasets.coding import Color, color_coding, id_coding, read_colors

Value = TypeVar("Value", int, Color)
_WHERE = "options of folders"
_FIX = "add them to `mapping`, or to `ignore` if they belong to no class"
_FORM = "each class -> a list of its ids, or of its colours as '#rrggbb'"
_DEFAULTS: dict[str, Any] = {"images": None, "labels": None, "encoding": "ids", "mapping": {}, "ignore": []}


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Images and labels below `root` as the options say; the keys are in this module's docstring.

    UserError for a missing or unknown key, a pattern that leaves `root`, a class name that is
    neither one of `classes` nor a Cityscapes name, an id or colour that is named twice.
    """
    chosen = options_of("folders", options, _DEFAULTS)
    images = pattern_of(_WHERE, "images", chosen["images"], "images/*.png")
    labels = chosen["labels"]
    if labels is not None:
        labels = pattern_of(_WHERE, "labels", labels, f"labels/{STEM}.png")
        if labels.count(STEM) != 1 or not labels.endswith(".png"):
            raise _wrong("labels", labels, f"one {STEM} and the ending .png, such as labels/{STEM}.png")
    if chosen["encoding"] not in ("ids", "rgb"):
        raise _wrong("encoding", chosen["encoding"], "ids or rgb")
    if not isinstance(chosen["mapping"], Mapping) or (labels is not None and not chosen["mapping"]):
        raise _wrong("mapping", chosen["mapping"], _FORM)
    if not isinstance(chosen["ignore"], list):
        raise _wrong("ignore", chosen["ignore"], "a list of ids (encoding: rgb: of colours)")
    layout = Layout(root, images, labels)
    if chosen["encoding"] == "ids":
        ids = id_coding(classes, *_by_value(chosen["mapping"], chosen["ignore"], _id), _FIX)
        return Dataset(layout, split, classes, lambda path: ids.decode(files.read_label(path), path))
    colors = color_coding(classes, *_by_value(chosen["mapping"], chosen["ignore"], _color), _FIX)
    return Dataset(layout, split, classes, lambda path: colors.decode(read_colors(path), path))


def _by_value(
    mapping: Mapping[object, Any], ignored: list[Any], read: Callable[[object], Value]
) -> tuple[dict[Value, str], list[Value]]:
    """Each id or colour with its class, and those that belong to none; UserError for one named twice."""
    names: dict[Value, str] = {}
    for name, listed in mapping.items():
        if not isinstance(name, str) or not isinstance(listed, list) or not listed:
            raise _wrong("mapping", {name: listed}, _FORM)
        for written in listed:
            value = read(written)
            if value in names:
                raise _twice(written, f"{names[value]} and {name}")
            names[value] = name
    void: list[Value] = []
    for written in ignored:
        value = read(written)
        if value in names or value in void:
            raise _twice(written, f"{names.get(value, 'ignore')} and ignore")
        void.append(value)
    return names, void


def _twice(written: object, owners: str) -> UserError:
    return _wrong("mapping or ignore", written, f"each id or colour once; it is named for {owners}")


def _id(written: object) -> int:
    if isinstance(written, int) and not isinstance(written, bool) and 0 <= written <= 255:
        return written
    raise _wrong("mapping or ignore", written, "ids as whole numbers from 0 to 255 (encoding: ids)")


def _color(written: object) -> Color:
    if isinstance(written, str) and re.fullmatch("#[0-9a-fA-F]{6}", written):
        red, green, blue = bytes.fromhex(written[1:])
        return red, green, blue
    raise _wrong("mapping or ignore", written, "colours as '#rrggbb', in quotes (encoding: rgb)")


def _wrong(key: str, value: object, allowed: str) -> UserError:
    return UserError(
        _WHERE,
        f"{key}: {value!r}",
        allowed,
        "correct this key; intrada/data/datasets/folders.py shows each at its top",
    )
