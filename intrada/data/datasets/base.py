"""Common parts of all datasets: finding images and labels below a root folder, and their ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
STEM = "{stem}"
_SHOWN = 80  # characters of a line of a split list in an error
SPLITS = "all, list:FILE (below `root`, one image name a line) or range:START:STOP (of the sorted images)"


@dataclass(frozen=True)
class Item:
    """One image: its id (unique and usable as a file name), its file, and the file of its label or None."""

    id: str
    image: Path
    label: Path | None


@dataclass(frozen=True)
class Layout:
    """The paths of images and labels below `root`.

    images: a glob relative to the root, such as `img/**/*_rgb.png` (`**/`: any folders). The stem of an image
    is its path without the fixed folders before the first wildcard and the fixed ending after the last one:
    `a/7` for img/a/7_rgb.png. labels: the path of a label relative to the root, with the placeholder {stem};
    None if there are no labels. id_of: returns the id for a stem.
    """

    root: Path
    images: str
    labels: str | None
    id_of: Callable[[str], str] = lambda stem: stem.replace("/", "__")

    def find_images(self) -> dict[str, Path]:
        """Return PNG and JPEG images by stem. Raises UserError if there is none or a stem occurs twice."""
        folder = self.root / _fixed_folder(self.images)
        fix = "fix `root`, or the dataset's options if your folders are called otherwise"
        if not folder.is_dir():
            raise UserError(folder, "no such folder", f"images at {self.root / self.images}", fix)
        candidates, pattern = files.list_files(folder), _regex(self.images)
        stems: dict[str, Path] = {}
        for path in candidates:
            relative = path.relative_to(self.root).as_posix()
            if not pattern.fullmatch(relative) or not _is_image(relative):
                continue
            stem = _stem(self.images, relative)
            if stem in stems:
                found = f"{stems[stem].name} is in the same folder, and both would be called {stem}"
                raise UserError(path, found, "one image for each name", "move one of them away")
            stems[stem] = path
        if not stems:
            count = len(candidates)
            example = f"{count} other files, {candidates[0].name} the first" if candidates else "nothing"
            allowed = f"PNG or JPEG images at {self.root / self.images}"
            raise UserError(folder, f"no image, but {example}", allowed, fix)
        return stems

    def find_labels(self) -> dict[str, Path]:
        """Return the label files by stem, also those without an image; {} if there are no labels."""
        if self.labels is None:
            return {}
        before, after = self.labels.split(STEM)
        folder = self.root / _fixed_folder(self.labels)
        labels = {}
        for path in files.list_files(folder) if folder.is_dir() else []:
            relative = path.relative_to(self.root).as_posix()
            if relative.startswith(before) and relative.endswith(after) and not _is_hidden(relative):
                labels[relative[len(before) : len(relative) - len(after)]] = path
        return labels


@dataclass(frozen=True)
class Dataset:
    """Images and labels in one layout.

    split: one of SPLITS. read_label: reads a label file, returns (H, W) uint8 with train indices 0..C-1, or
    255 (ignored). It raises UserError if the file is broken or has ids or colours that the dataset does not
    define.
    """

    layout: Layout
    split: str
    classes: ClassSet
    read_label: Callable[[Path], np.ndarray]

    def items(self) -> list[Item]:
        """Return the images of the split with their labels, sorted by id.

        Raises UserError if there is no image, if ids are not unique or not usable as file names, and for a
        wrong split.
        """
        images, labels = self.layout.find_images(), self.layout.find_labels()
        items: dict[str, Item] = {}
        for stem, image in images.items():
            item = Item(_checked_id(self.layout.id_of(stem), image), image, labels.get(stem))
            if item.id in items:
                found = f"the id {item.id}, as {items[item.id].image} has"
                raise UserError(image, found, "one id for each image", "rename one of the two files")
            if item.label == image:
                found = f"the label pattern {self.layout.labels} matches the image itself"
                raise UserError(image, found, "a label file for each image", "fix the option `labels`")
            items[item.id] = item
        return _selected([items[name] for name in sorted(items)], self.layout, self.split)

    def orphans(self) -> list[Path]:
        """Return the label files without an image, sorted. Empty unless the split is `all`."""
        if self.split != "all":
            return []
        images, labels = self.layout.find_images(), self.layout.find_labels()
        return sorted(path for stem, path in labels.items() if stem not in images)


def require_labels(items: Sequence[Item]) -> None:
    """Raise UserError, with a count and the first names, unless every item has a label."""
    missing = [item for item in items if item.label is None]
    if missing:
        names = ", ".join(item.id for item in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise UserError(
            missing[0].image,
            f"{len(missing)} of {len(items)} images have no label: {names}",
            "a label for each image of the source and of the validation set; a target needs none",
            "add the labels, fix the dataset's options, or leave these images out with `split: list:FILE`",
        )


def options_of(dataset: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options `given`, completed with `defaults`. Raises UserError for an unknown key."""
    unknown = [key for key in given if key not in defaults]
    if unknown:
        allowed = f"the keys {', '.join(defaults)}" if defaults else "no key: `options: {}`"
        found = f"the unknown {', '.join(repr(key) for key in unknown)}"
        raise UserError(f"options of {dataset}", found, allowed, "fix or remove these keys")
    return {**defaults, **given}


def pattern_of(where: str, key: str, value: object, example: str) -> str:
    """Return the option `value` as a path pattern below the root. Raises UserError if it is not one."""
    if isinstance(value, str) and value:
        path = PurePosixPath(value)
        if not path.is_absolute() and ".." not in path.parts:
            return path.as_posix()
    allowed = f"a path below `root`, such as {example} (`root` itself may be a link)"
    raise UserError(where, f"{key}: {value!r}", allowed, "fix this key")


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
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            ids = by_name.get(line, set())
            if len(ids) != 1:
                text = f"{line[:_SHOWN]!r}{'...' * (len(line) > _SHOWN)}" if is_inside else "it"
                found = f"{text} is the name of {len(ids)} images"
                raise UserError(f"{path}, line {number}", found, allowed, "fix or remove the line")
            chosen |= ids
    return [item for item in items if item.id in chosen]


def _names(item: Item, layout: Layout) -> set[str]:
    """Return the names by which a list may refer to an image."""
    from_root = item.image.relative_to(layout.root)
    from_folder = item.image.relative_to(layout.root / _fixed_folder(layout.images))
    paths = {path.as_posix() for name in (from_root, from_folder) for path in (name, name.with_suffix(""))}
    return {item.id, item.image.name, item.image.stem, *paths}


def _checked_id(name: str, image: Path) -> str:
    if name and name.isprintable() and len(name.encode()) <= files.MAX_ID_BYTES:
        return name
    allowed = f"printable characters, at most {files.MAX_ID_BYTES} bytes with the folders' names"
    raise UserError(repr(str(image)), f"the id {name!r}", allowed, "rename the file")


def _is_image(relative: str) -> bool:
    return relative.lower().endswith(IMAGE_SUFFIXES) and not _is_hidden(relative)


def _is_hidden(relative: str) -> bool:
    """Return whether a file or folder starts with a dot, such as the `._1.png` that macOS writes."""
    return any(part.startswith(".") for part in relative.split("/"))


def _fixed_folder(pattern: str) -> str:
    """Return the folders before the first wildcard: `a/b` for a/b/*/x_*.png and for a/b/{stem}.png."""
    return re.split(r"[*?\[{]", pattern)[0].rpartition("/")[0]


def _regex(pattern: str) -> re.Pattern[str]:
    """Convert a glob to a regular expression: `**/` any folders; `*`, `?`, `[...]` within one name."""
    wildcards = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}

    def translated(token: str) -> str:
        if token.startswith("[") and token.endswith("]"):
            return token.replace("[!", "[^", 1)
        return wildcards.get(token) or re.escape(token)

    try:
        return re.compile("".join(map(translated, re.split(r"(\*\*/|\*|\?|\[[^\]]+\])", pattern))), re.DOTALL)
    except re.error as error:
        fix = "fix the option `images`"
        raise UserError(f"glob {pattern}", str(error), "`**/`, `*`, `?` and [a-z]", fix) from error


def _stem(pattern: str, relative: str) -> str:
    """Return `relative` without the fixed folders and the fixed ending of `pattern`."""
    folder, ending = _fixed_folder(pattern), re.split(r"[*?\]]", pattern)[-1]
    stem = relative.removeprefix(f"{folder}/")
    return stem.removesuffix(ending) if "." in ending else str(PurePosixPath(stem).with_suffix(""))
