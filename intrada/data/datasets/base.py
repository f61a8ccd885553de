"""Common parts of all datasets: finding images and labels below a root folder, and their ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.errors import UserError
from intrada.data.datasets import faults, patterns
from intrada.data.datasets.layout import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from intrada.data.datasets.layout import Layout as Layout

_SHOWN = 80  # characters of a line of a split list in an error
SPLITS = "all, list:FILE (below `root`, one image name a line) or range:START:STOP (of the sorted images)"


@dataclass(frozen=True)
class Item:
    """One image: its id (unique and usable as a file name), its file, and the file of its label or None."""

    id: str
    image: Path
    label: Path | None


@dataclass(frozen=True)
class Survey:
    """The images of a split, sorted by id, and what was found beside them. See `Scan` for the other fields.

    unlabelled: image and stem of the items without a label.
    """

    items: list[Item]
    unlabelled: list[tuple[Path, str]]
    orphans: list[Path]
    left_out: list[Path]
    excluded: int
    faults: list[UserError]


@dataclass(frozen=True)
class Dataset:
    """Images and labels in one layout.

    split: one of SPLITS. read_label: reads a label file, returns (H, W) uint8 with train indices 0..C-1, or
    255 (ignored). It raises UserError if the file is broken or has ids or colours that the dataset does not
    define. one_palette: the labels hold ids, and `check` compares their palettes.
    """

    layout: Layout
    split: str
    classes: ClassSet
    read_label: Callable[[Path], np.ndarray]
    one_palette: bool = False

    def items(self) -> list[Item]:
        """Return the images of the split with their labels, sorted by id.

        Raises UserError if there is no image, if names or ids are not unique or not usable as file names, and
        for a wrong split.
        """
        survey = self.survey()
        faults.raise_joined(self.layout.root, survey.faults)
        return survey.items

    def survey(self) -> Survey:
        """Return the items and the faults of the files' names. Raises UserError as `items` for all others."""
        scan = self.layout.scan()
        items: dict[str, Item] = {}
        stems: dict[str, str] = {}
        wrong = [*scan.faults]
        for stem, image in scan.images.items():
            item = Item(self.layout.id_of(stem), image, scan.labels.get(stem))
            if fault := self._fault(item, items.get(item.id)):
                wrong.append(fault)
            else:
                items[item.id], stems[item.id] = item, stem
        chosen = [items[name] for name in sorted(items)]
        if items:
            chosen = _selected(chosen, self.layout, self.split)
        return Survey(
            chosen,
            [(item.image, stems[item.id]) for item in chosen if item.label is None],
            scan.orphans if self.split == "all" else [],
            scan.left_out,
            scan.excluded,
            wrong,
        )

    def _fault(self, item: Item, other: Item | None) -> UserError | None:
        if fault := _wrong_id(item):
            return fault
        if other:
            found = f"the id {item.id}, as {other.image} has"
            return UserError(item.image, found, "one id for each image", "rename one of the two files")
        if item.label == item.image:
            found = f"the label pattern {self.layout.labels} matches the image itself"
            return UserError(item.image, found, "a label file for each image", "fix the option `labels`")
        return None


def options_of(dataset: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options `given`, completed with `defaults`. Raises UserError for an unknown key."""
    unknown = [key for key in given if key not in defaults]
    if unknown:
        allowed = f"the keys {', '.join(defaults)}" if defaults else "no key: `options: {}`"
        found = f"the unknown {', '.join(repr(key) for key in unknown)}"
        raise UserError(f"options of {dataset}", found, allowed, "fix or remove these keys")
    return {**defaults, **given}


def exclude_of(dataset: str, value: object) -> tuple[str, ...]:
    """Return the option `exclude` as patterns below the root. Raises UserError if it is no list of them."""
    where = f"options of {dataset}"
    if not isinstance(value, list):
        raise UserError(
            where, f"exclude: {value!r}", "a list of patterns, such as [images/old]", "fix this key"
        )
    return tuple(
        patterns.of_option(where, "exclude", entry, "images/old or images/*_mask.png") for entry in value
    )


def _selected(items: list[Item], layout: Layout, split: str) -> list[Item]:
    kind, _, rest = split.partition(":")
    if split == "all":
        chosen = items
    elif kind == "list" and rest:
        chosen = _listed(items, layout, _list_path(layout.root, rest))
    elif kind == "range" and (bounds := re.fullmatch(r"(-?\d{1,18})?:(-?\d{1,18})?", rest)):
        start, stop = (int(bound) if bound else None for bound in bounds.groups())
        chosen = items[start:stop]
    else:
        raise UserError("split", repr(split), SPLITS, "fix `split`")
    if not chosen:
        fix = "fix `split`; START and STOP count as in a Python slice"
        raise UserError("split", f"{split!r} selects none of {len(items)} images", SPLITS, fix)
    return chosen


def _list_path(root: Path, name: str) -> Path:
    """Return the path of the text file of a split. UserError if it is not below `root`, which DVC watches."""
    path = root / name
    if ".." in PurePosixPath(name).parts or not path.is_relative_to(root):
        allowed = "a text file below `root`, named relative to it: DVC notices changes of `root` only"
        fix = f"copy or link the file to a place below {root}, and write `list:NAME`"
        raise UserError("split", f"{f'list:{name}'!r}, a file outside of {root}", allowed, fix)
    return path


def _listed(items: list[Item], layout: Layout, path: Path) -> list[Item]:
    """Return the items that a text file lists by id, file name or relative path, in the order of `items`."""
    allowed = "a text file with one image per line: its id, its name or its path below the image folder"
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise files.unreadable(path, error, allowed) from error
    is_inside = path.resolve().is_relative_to(layout.root.resolve())  # else the text is not shown
    by_name: dict[str, set[str]] = {}
    for item in items:
        for name in _names(item, layout):
            by_name.setdefault(name, set()).add(item.id)
    chosen: set[str] = set()
    wrong: list[UserError] = []
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            ids = by_name.get(line, set())
            if len(ids) != 1:
                text = f"{line[:_SHOWN]!r}{'...' * (len(line) > _SHOWN)}" if is_inside else "it"
                found = f"{text} is the name of {len(ids)} images"
                wrong.append(UserError(f"{path}, line {number}", found, allowed, "fix or remove the line"))
            chosen |= ids
    faults.raise_joined(path, wrong)
    return [item for item in items if item.id in chosen]


def _names(item: Item, layout: Layout) -> set[str]:
    """Return the names by which a list may refer to an image."""
    from_root = item.image.relative_to(layout.root)
    from_folder = item.image.relative_to(layout.root / patterns.fixed_folder(layout.images))
    paths = {path.as_posix() for name in (from_root, from_folder) for path in (name, name.with_suffix(""))}
    return {item.id, item.image.name, item.image.stem, *paths}


def _wrong_id(item: Item) -> UserError | None:
    if item.id and item.id.isprintable() and len(item.id.encode(errors="replace")) <= files.MAX_ID_BYTES:
        return None
    allowed = f"printable characters, at most {files.MAX_ID_BYTES} bytes with the folders' names"
    return UserError(repr(str(item.image)), f"the id {item.id!r}", allowed, "rename the file")
