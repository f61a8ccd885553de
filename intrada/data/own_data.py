"""Look at folders of images and labels that are to be source, target and evaluation data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data.datasets import discover, label_values
from intrada.data.datasets.base import Dataset, Survey
from intrada.data.datasets.discover import Part
from intrada.data.datasets.label_values import LabelValues
from intrada.data.datasets.layout import Layout

HELD_OUT = 3  # one third of a labelled target is its evaluation data, if there are no others
_CLASSES = class_set(["road", "sky"])  # names no class: only the files of a dataset are looked at here


@dataclass(frozen=True)
class Folder:
    """What one domain reads of a folder.

    split: `all`, or the range of the images. sizes: (width, height) of the images, the most frequent first.
    values: of the labels, None if there are none. ignored: files that are not used, by reason.
    """

    root: Path
    part: Part
    split: str
    survey: Survey
    sizes: list[tuple[int, int]]
    values: LabelValues | None
    ignored: dict[str, list[str]]


def look(roots: Sequence[Path], context: Context) -> dict[str, Folder]:
    """Return what the folders hold: source, target and val, or source alone for a single folder.

    Of a folder with splits, source and target use train, and val uses val. If val has no folder or split of
    its own, and the target has labels, it is the last third of the target. UserErrors as from `discover`.
    """
    roles = dict(zip(("source", "target", "val"), roots, strict=False))
    parts = {root: discover.discover(root) for root in dict.fromkeys(roots)}
    found = {
        role: _look(root, _part(parts[root], role), "all", len(parts[root]) > 1, context)
        for role, root in roles.items()
    }
    if "target" not in found or "val" in found:
        return found
    target = found["target"]
    others, part = parts[target.root], _part(parts[target.root], "val")
    if part == target.part and part.labels:
        count = len(target.survey.items)
        cut = count - count // HELD_OUT
        found["target"] = _look(target.root, part, f"range:0:{cut}", len(others) > 1, context)
        found["val"] = _look(target.root, part, f"range:{cut}:{count}", len(others) > 1, context)
    else:
        found["val"] = _look(target.root, part, "all", len(others) > 1, context)
    return found


def _part(parts: Sequence[Part], role: str) -> Part:
    """Return the part of a folder that a domain uses."""
    wanted = ("val", "test") if role == "val" else ("train",)
    return next((one for name in wanted for one in parts if one.split == name), parts[0])


def _look(root: Path, part: Part, split: str, has_splits: bool, context: Context) -> Folder:
    dataset = Dataset(Layout(root, part.images, part.labels), split, _CLASSES, files.read_label)
    survey = dataset.survey()
    paths = [item.image for item in survey.items]
    sizes = Counter(size for path in context.progress(paths, len(paths), "image") if (size := _size(path)))
    if not sizes:
        raise UserError(
            root, "no image can be read", "PNG or JPEG images of 8 bits a channel", "replace them"
        )
    labels = [item.label for item in survey.items if item.label]
    values = label_values.count(labels, part.encoding, context.workers, context.progress) if labels else None
    ignored = _ignored(root, survey, has_splits) if split == "all" else {}
    return Folder(root, part, split, survey, [size for size, _ in sizes.most_common()], values, ignored)


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return files.image_size(path)
    except UserError:  # `check` names it
        return None


def _ignored(root: Path, survey: Survey, has_splits: bool) -> dict[str, list[str]]:
    """Return the files that are not used, by reason; those of other splits are not named."""
    used = {path for item in survey.items for path in (item.image, item.label) if path} | {*survey.orphans}
    others = [path for path in files.list_files(root) if path not in used]
    if has_splits:
        kept = {path.relative_to(root).parts[:1] for path in used}
        others = [
            path
            for path in others
            if path.relative_to(root).parts[:1] in kept and not discover.split_of(path.relative_to(root))
        ]
    by_reason: dict[str, list[str]] = {}
    for path in others:
        ending = path.suffix.lower()
        reason = f"{ending or 'other'} files" if ending not in discover.IMAGE_SUFFIXES else "other images"
        by_reason.setdefault(reason, []).append(path.relative_to(root).as_posix())
    return by_reason
