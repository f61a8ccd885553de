"""Find the images and labels below a root folder by path patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data.datasets import patterns

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_FIX = "fix `root`, or the dataset's options if your folders are called otherwise"
# What converters for other tools append to the name of a label: 7_labelTrainIds.png, 7_color.png beside 7.png
_CONVERTED = re.compile(
    r"(?:_gt|_gtfine|_gtcoarse)?_(?:label|instance|panoptic|train|inv|level|cs|colou?r|\d|_)*"
    r"(?:ids?|colou?rs?|polygons?|gr[ae]y)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Scan:
    """The files of a layout.

    images, labels: by stem; left_out: other files below the image folder; orphans: labels without an image,
    but not those that a converter wrote beside another label; excluded: the number of images that the option
    `exclude` leaves out; faults: files that contradict each other.
    """

    images: dict[str, Path]
    labels: dict[str, Path]
    left_out: list[Path]
    orphans: list[Path]
    excluded: int
    faults: list[UserError]


@dataclass(frozen=True)
class Layout:
    """The paths of images and labels below `root`.

    images: a pattern (see patterns.py) such as `img/**/*_rgb.png`. The stem of an image is its path without
    the fixed folders before the first wildcard and the fixed ending after the last one: `a/7` for
    img/a/7_rgb.png. labels: the path of a label relative to the root, with the placeholder {stem}; None if
    there are no labels. id_of: returns the id for a stem. exclude: patterns of files, or of folders with all
    their files, that are left out. no_labels: the option that says that there
    are no labels; the default is that of `folders`.
    """

    root: Path
    images: str
    labels: str | None
    id_of: Callable[[str], str] = lambda stem: stem.replace("/", "__")
    exclude: tuple[str, ...] = ()
    no_labels: str = "labels: null"

    def scan(self) -> Scan:
        """Find PNG and JPEG images and the labels. Raises UserError if there is no image."""
        below = self._below()
        faults: list[UserError] = []
        found_images, found_labels = self._image_files(below), self._label_files()
        images = self._by_stem(found_images, "image", faults)
        labels = self._by_stem(found_labels, "label", faults)
        if not images:
            found = f"`exclude` leaves out all {len(found_images)} images"
            raise UserError(self.root, found, "at least one image", "fix the option `exclude`")
        stems, known = {stem for stem, _ in found_images}, {path for _, path in found_images + found_labels}
        return Scan(
            images,
            labels,
            [path for path in below if path not in known and not self._is_skipped(path)],
            sorted(
                path for stem, path in labels.items() if stem not in stems and not _is_converted(stem, stems)
            ),
            sum(self._is_skipped(path) for _, path in found_images),
            faults,
        )

    def _below(self) -> list[Path]:
        """Return all files below the image folder. Raises UserError if it is missing."""
        folder = self.root / patterns.fixed_folder(self.images)
        if not folder.is_dir():
            raise UserError(folder, "no such folder", f"images at {self.root / self.images}", _FIX)
        return files.list_files(folder)

    def _image_files(self, candidates: Sequence[Path]) -> list[tuple[str, Path]]:
        """Return stem and file of each PNG and JPEG image. Raises UserError if there is none."""
        pattern = patterns.regex(self.images)
        found = [
            (patterns.stem(self.images, relative), path)
            for path, relative in zip(candidates, map(self._relative, candidates), strict=True)
            if pattern.fullmatch(relative) and _is_image(relative)
        ]
        if not found:
            count = len(candidates)
            example = f"{count} other files, {candidates[0].name} the first" if candidates else "nothing"
            allowed = f"PNG or JPEG images at {self.root / self.images}"
            folder = self.root / patterns.fixed_folder(self.images)
            raise UserError(folder, f"no image, but {example}", allowed, _FIX)
        return found

    def _label_files(self) -> list[tuple[str, Path]]:
        """Return stem and file of each label, also those without an image; nothing if there are no labels."""
        if self.labels is None:
            return []
        before, after = patterns.lower_ending(self.labels).split(patterns.STEM)
        folder = self.root / patterns.fixed_folder(self.labels)
        found = []
        for path in files.list_files(folder) if folder.is_dir() else []:
            relative = patterns.lower_ending(self._relative(path))
            if relative.startswith(before) and relative.endswith(after) and not _is_hidden(relative):
                found.append((relative[len(before) : len(relative) - len(after)], path))
        return found

    def _by_stem(
        self, found: Iterable[tuple[str, Path]], kind: str, faults: list[UserError]
    ) -> dict[str, Path]:
        """Return the files that are not excluded by stem; a second file of a stem is a fault."""
        stems: dict[str, Path] = {}
        for stem, path in found:
            if self._is_skipped(path):
                continue
            if stem in stems:
                there = f"{stems[stem].name} is there, too, and both would be called {stem}"
                fix = "move one of them away, or list it in the option `exclude`"
                faults.append(UserError(path, there, f"one {kind} for each name", fix))
            stems.setdefault(stem, path)
        return stems

    def _is_skipped(self, path: Path) -> bool:
        """Return whether a file is hidden, or matches `exclude` by itself or with one of its folders."""
        relative = self._relative(path)
        forms = (form for name in self.exclude for form in (name, f"{name}/**/*"))
        return _is_hidden(relative) or any(patterns.regex(form).fullmatch(relative) for form in forms)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def _is_converted(stem: str, images: Collection[str]) -> bool:
    """Return whether a converter wrote this label beside that of an image."""
    match = _CONVERTED.search(stem)
    return match is not None and stem[: match.start()] in images


def _is_image(relative: str) -> bool:
    return relative.lower().endswith(IMAGE_SUFFIXES) and not _is_hidden(relative)


def _is_hidden(relative: str) -> bool:
    """Return whether a file or folder starts with a dot, such as the `._1.png` that macOS writes."""
    return any(part.startswith(".") for part in relative.split("/"))
