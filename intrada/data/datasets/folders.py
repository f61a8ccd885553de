"""Your own data, described by options: where images and labels lie, and what the labels' values mean.

options:
  images: photos/**/*.jpg           # a glob relative to root; PNG and JPEG
  labels: masks/{stem}.png          # {stem}: what the glob's wildcards stand for; null: no labels
  encoding: ids                     # or rgb
  mapping: {0: sky, 1: building}    # rgb: [{color: [70, 130, 180], class: sky}, ...]
  ignore: [11, 255]                 # ids (rgb: colours) that belong to no class
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrada.core import files
from intrada.core.config.classes import ClassSet, parse_color
from intrada.core.errors import UserError
from intrada.data.datasets.base import STEM, Dataset, Layout, options_of, pattern_of
from intrada.data.datasets.coding import Color, color_coding, id_coding, read_colors

_WHERE = "options of folders"
_FIX = "add them to `mapping`, or to `ignore` if they belong to no class"
_DEFAULTS: dict[str, Any] = {"images": None, "labels": None, "encoding": "ids", "mapping": {}, "ignore": []}


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Images and labels below `root` as the options say; the keys are in this module's docstring.

    UserError for a missing or unknown key, a pattern that leaves `root`, a class name that is
    neither one of `classes` nor a Cityscapes name, an id or colour that stands twice.
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
    if labels is not None and not chosen["mapping"]:
        raise _wrong("mapping", chosen["mapping"], "what each id (or colour) of the labels means")
    if not isinstance(chosen["ignore"], list):
        raise _wrong("ignore", chosen["ignore"], "a list of ids (encoding: rgb: of colours)")
    layout = Layout(root, images, labels)
    if chosen["encoding"] == "ids":
        ids = id_coding(classes, *_ids(chosen["mapping"], chosen["ignore"]), _FIX)
        return Dataset(layout, split, classes, lambda path: ids.decode(files.read_label(path), path))
    colors = color_coding(classes, *_colors(chosen["mapping"], chosen["ignore"]), _FIX)
    return Dataset(layout, split, classes, lambda path: colors.decode(read_colors(path), path))


def _ids(mapping: object, ignored: list[Any]) -> tuple[dict[int, str], list[int]]:
    if not isinstance(mapping, Mapping):
        raise _wrong("mapping", mapping, "{id: class name, ...} (a list belongs to `encoding: rgb`)")
    for raw in [*mapping, *ignored]:
        if type(raw) is not int or not 0 <= raw <= 255:
            raise _wrong("mapping or ignore", raw, "ids as whole numbers from 0 to 255")
    _refuse_twice([*mapping, *ignored])
    return {raw: _name(name) for raw, name in mapping.items()}, ignored


def _colors(mapping: object, ignored: list[Any]) -> tuple[dict[Color, str], list[Color]]:
    allowed = "a list of {color: [red, green, blue], class: name}"
    if not isinstance(mapping, list):
        raise _wrong("mapping", mapping, allowed)
    pairs: list[tuple[Color, str]] = []
    for entry in mapping:
        if not isinstance(entry, Mapping) or set(entry) != {"color", "class"}:
            raise _wrong("mapping", entry, allowed)
        pairs.append((parse_color(_WHERE, entry["color"]), _name(entry["class"])))
    void = [parse_color(_WHERE, color) for color in ignored]
    _refuse_twice([color for color, _ in pairs] + void)
    return dict(pairs), void


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("mapping", value, "the name of a class")
    return value


def _refuse_twice(values: list[Any]) -> None:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise _wrong("mapping or ignore", twice, "each id or colour once")


def _wrong(key: str, value: object, allowed: str) -> UserError:
    return UserError(
        _WHERE,
        f"{key}: {value!r}",
        allowed,
        "mend this key; intrada/data/datasets/folders.py shows each at its top",
    )
