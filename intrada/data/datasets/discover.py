"""Find out where a folder keeps its images and labels: the patterns that describe it to dataset `folders`.

A PNG is a label image if it has a palette, or few values in large areas: at most VALUES of them, and AREAS of
all neighbours in a row are equal. Of each folder only a few files are opened. Nothing is decided by the name
of a folder but the split (train, val, test).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data.datasets.layout import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from intrada.data.datasets.patterns import STEM

VALUES, AREAS = 64, 0.75
SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
_OPENED, _FOLDERS = 2, 150  # files of a folder, and folders, that are opened
_TOPS = 20  # folders whose images and labels are compared
_TAIL = re.compile(r"(?:[_.-][A-Za-z](?:[A-Za-z0-9]*[A-Za-z])?)+$")  # `_image` of 7_image.jpg
_FREQUENT = 0.1  # share of the files of a folder with a tail that is part of the pattern


@dataclass(frozen=True)
class Part:
    """The images of one split of a folder ("" if it has no splits), and their labels.

    images, labels: patterns for dataset `folders`, labels None if there are none. encoding: ids or rgb.
    """

    split: str
    images: str
    labels: str | None
    encoding: str


@dataclass(frozen=True)
class _File:
    """A PNG or JPEG. path: below the root; tail: the kind that its name ends with, such as `_image`."""

    path: PurePosixPath
    tail: str

    @property
    def ending(self) -> str:
        return self.path.suffix[1:].lower()

    def stem(self, folder: str) -> str:
        """Return the path below `folder` without tail and ending."""
        relative = self.path.relative_to(folder or ".").with_suffix("").as_posix()
        return relative.removesuffix(self.tail)


def discover(root: Path) -> list[Part]:
    """Return the parts of a folder, in the order train, val, test.

    UserError if it has no PNG or JPEG image, or if it holds several data sets, each in a folder of its own.
    """
    if not root.is_dir():
        raise UserError(root, "no such folder", "a folder of images", "name the folder of your images")
    paths = [PurePosixPath(path.relative_to(root).as_posix()) for path in files.list_files(root)]
    by_split: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        if path.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in path.parts):
            by_split[split_of(path)].append(path)
    order = ["", *dict.fromkeys(SPLITS.values())]
    parts = [part for split in order if by_split[split] for part in _part(root, split, by_split[split])]
    if not parts:
        endings = Counter(path.suffix.lower() or path.name for path in paths).most_common(3)
        found = ", ".join(f"{count} {ending}" for ending, count in endings) or "nothing"
        raise UserError(
            root, f"no image, but {found}", "PNG or JPEG images of 8 bits a channel", "convert them"
        )
    return parts


def split_of(path: PurePath) -> str:
    """Return train, val or test if a folder of the path is called so; else ""."""
    return next((SPLITS[part.lower()] for part in path.parts[:-1] if part.lower() in SPLITS), "")


def _part(root: Path, split: str, paths: Sequence[PurePosixPath]) -> list[Part]:
    """Return the part of one split; none if it has no image."""
    frequent = {
        tail for tail, count in Counter(map(_tail, paths)).items() if count >= max(2, _FREQUENT * len(paths))
    }
    found = [_File(path, tail if (tail := _tail(path)) in frequent else "") for path in paths]
    kinds = _kinds(root, found)
    images: dict[str, list[_File]] = defaultdict(list)
    labels: dict[tuple[str, str], list[_File]] = defaultdict(list)
    for file in found:
        kind = kinds[file.path]
        if kind == "image":
            images[file.tail].append(file)
        else:
            labels[file.tail, kind].append(file)
    if not images:
        return []
    choices = [
        (_paired(some, others), len(some), some, key, others)
        for photos in images.values()
        for key, masks in labels.items()
        for some, others in _choices(photos, masks)
    ]
    best = max(choices, key=lambda one: (len(one[0]), *_preference(one[3]), one[1]), default=None)
    if best is None or best[1] < max(map(len, images.values())) or not best[0]:
        _refuse_several(root, images, labels)
    if best is None or not best[0]:
        return [Part(split, _images(max(images.values(), key=len)), None, "ids")]
    _, _, some, (tail, encoding), others = best
    return [Part(split, _images(some), f"{_folder(others)}/{STEM}{tail}.png".lstrip("/"), encoding)]


def _choices(images: list[_File], labels: list[_File]) -> Iterator[tuple[list[_File], list[_File]]]:
    """Yield images and labels that may be pairs: all, and those of single folders if not all are pairs."""
    yield images, labels
    if len(_paired(images, labels)) < len(images):
        ones, others = ([*_tops(some).values()][:_TOPS] for some in (images, labels))
        for one in [images, *ones]:
            yield from ((one, other) for other in [labels, *others])


def _tops(some: Sequence[_File]) -> dict[str, list[_File]]:
    """Return the files by their first folder below the common one."""
    folder = _folder(some)
    tops: dict[str, list[_File]] = defaultdict(list)
    for file in some:
        tops[file.stem(folder).rpartition("/")[0].partition("/")[0]].append(file)
    return tops


def _paired(images: Sequence[_File], labels: Sequence[_File]) -> set[str]:
    """Return the stems that an image and a label have in common."""
    one, other = _folder(images), _folder(labels)
    return {file.stem(one) for file in images} & {file.stem(other) for file in labels}


def _preference(key: tuple[str, str]) -> tuple[bool, bool]:
    """Return how well labels of a tail and encoding serve, if several have the same images."""
    tail, encoding = key
    return encoding == "ids", not re.search("instance|train", tail, re.IGNORECASE)


def _images(some: Sequence[_File]) -> str:
    """Return the pattern of images."""
    folder, endings = _folder(some), sorted({file.ending for file in some})
    nested = "**/" if any("/" in file.stem(folder) for file in some) else ""
    ending = endings[0] if len(endings) == 1 else f"{{{','.join(endings)}}}"
    return f"{folder}/{nested}*{some[0].tail}.{ending}".lstrip("/")


def _folder(some: Iterable[_File]) -> str:
    """Return the common folder of files, "" for the root."""
    return commonpath([str(file.path.parent) for file in some]).removeprefix(".")


def _tail(path: PurePosixPath) -> str:
    found = _TAIL.search(path.stem)
    return found[0] if found and found.start() else ""


def _kinds(root: Path, found: Sequence[_File]) -> dict[PurePosixPath, str]:
    """Return `image`, `ids` or `rgb` for each file; files of one folder, tail and ending are of one kind."""
    groups: dict[tuple[str, str, str], list[_File]] = defaultdict(list)
    for file in found:
        groups[str(file.path.parent), file.tail, file.ending].append(file)
    step = -(-len(groups) // _FOLDERS)
    votes: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for number, ((folder, tail, ending), some) in enumerate(groups.items()):
        if number % step == 0:
            for file in some[:: max(1, len(some) // _OPENED)][:_OPENED]:
                votes[folder, tail, ending][kind_of(root / file.path)] += 1
                votes["", tail, ending][kind_of(root / file.path)] += 1
    kinds: dict[PurePosixPath, str] = {}
    for (folder, tail, ending), some in groups.items():
        vote = votes.get((folder, tail, ending)) or votes["", tail, ending]
        kinds |= {file.path: (vote.most_common(1) or [("image", 0)])[0][0] for file in some}
    return kinds


def kind_of(path: Path) -> str:
    """Return `ids` or `rgb` for a label image of ids or of colours, and `image` for any other file."""
    if path.suffix.lower() != ".png":
        return "image"
    try:
        with files.open_image(path, "a PNG") as image:
            mode, pixels = image.mode, np.asarray(image)
    except UserError:  # `check` names it
        return "image"
    if mode in ("P", "1"):
        return "ids"
    if pixels.ndim == 3:
        pixels = pixels[:, :, :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    areas = np.mean(pixels[:, 1:] == pixels[:, :-1]) if pixels.shape[1] > 1 else 0
    if areas < AREAS or len(np.unique(pixels)) > VALUES:
        return "image"
    return "ids" if mode == "L" else "rgb"


def _refuse_several(
    root: Path, images: dict[str, list[_File]], labels: dict[tuple[str, str], list[_File]]
) -> None:
    """Raise UserError if folders of `root` each hold images and their labels."""
    photos = [file for some in images.values() for file in some]
    tops = sorted({file.path.parts[0] for file in photos if len(file.path.parts) > 2})
    both = [
        top for top in tops if any(file.path.parts[0] == top for some in labels.values() for file in some)
    ]
    if len(both) > 1:
        raise UserError(
            root,
            f"several data sets: {', '.join(both)} hold images and labels each",
            "one folder of images and labels for each argument",
            f"name them one by one, such as {' '.join(str(root / top) for top in both[:2])}",
        )
