"""Validation of a dataset before anything is computed from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from intrada.core import files
from intrada.core.config.classes import IGNORE
from intrada.core.errors import UserError
from intrada.data.datasets.base import Dataset, Item, require_labels

_SAME_SHAPE = 0.02  # largest relative difference of the aspect ratios of an image and a rescaled label
_SHOWN = 5  # files named in an error
Thing = TypeVar("Thing")
Size = tuple[int, int]


class Progress(Protocol):
    """Yields the items unchanged and shows the progress."""

    def __call__(self, items: Iterable[Thing], total: int, unit: str) -> Iterator[Thing]: ...


@dataclass(frozen=True)
class Report:
    """The contents of a valid dataset.

    images, labelled: numbers of images, and of images with a label. sizes: the number of images by (width,
    height) in pixels. pixels: the number of labelled pixels by class; ignored: the number of pixels of no
    class ({} and 0 if labels are not read). rescaled: the ids of images with a label of another size but the
    same aspect ratio (GTA5 has a few).
    """

    images: int
    labelled: int
    sizes: dict[Size, int]
    pixels: dict[str, int]
    ignored: int
    rescaled: list[str]


def validate(
    dataset: Dataset,
    labelled: bool,
    absent: Collection[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Read the header of every image and, if `labelled`, every pixel of every label.

    absent: names of classes that may have no pixel; workers: number of threads. Raises UserError, which lists
    the first files, if there is no image or an unreadable header. If `labelled`, also for an image without
    label, a label without image, a broken label, a label of another aspect ratio than its image, ids or
    colours that the dataset does not define, and a class without a pixel.
    """
    for name in absent:
        dataset.classes.index(name)
    items = dataset.items()
    if labelled:
        require_labels(items)
        _refuse_orphans(dataset.orphans())
    with ThreadPoolExecutor(workers) as pool:
        checked: Iterator[_Stats | UserError] = pool.map(lambda item: _check(dataset, item, labelled), items)
        results = list(progress(checked, len(items), "image") if progress else checked)
    stats = [result for result in results if isinstance(result, _Stats)]
    _refuse_errors(dataset, [result for result in results if isinstance(result, UserError)], len(items))
    pixels = np.sum([entry.pixels for entry in stats], axis=0)
    report = Report(
        images=len(items),
        labelled=sum(item.label is not None for item in items),
        sizes=dict(Counter(entry.size for entry in stats)),
        pixels={name: int(pixels[i]) for i, name in enumerate(dataset.classes.names)} if labelled else {},
        ignored=int(pixels[IGNORE]),
        rescaled=[entry.id for entry in stats if entry.rescaled],
    )
    _refuse_empty_classes(dataset, report, absent)
    return report


@dataclass(frozen=True)
class _Stats:
    """One image: its id, its size, pixels of each index (256,), whether its label has another size."""

    id: str
    size: Size
    pixels: np.ndarray
    rescaled: bool


def _check(dataset: Dataset, item: Item, labelled: bool) -> _Stats | UserError:
    """Check one image and its label. Errors are returned, not raised, so that all of them are reported."""
    try:
        width, height = files.image_size(item.image)
        if not labelled or item.label is None:
            return _Stats(item.id, (width, height), np.zeros(256, np.int64), rescaled=False)
        label = dataset.read_label(item.label)
        rows, columns = label.shape
        if abs(columns * height / (rows * width) - 1) > _SAME_SHAPE:
            found = f"{columns}x{rows} pixels, its image has {width}x{height}"
            fix = "pair the right files, or leave the image out with `split: list:FILE`"
            raise UserError(
                item.label, found, "a label of the size of its image, or of its aspect ratio", fix
            )
    except UserError as error:
        return error
    pixels = np.bincount(label.ravel(), minlength=256)
    return _Stats(item.id, (width, height), pixels, rescaled=(columns, rows) != (width, height))


def _refuse_orphans(orphans: Sequence[object]) -> None:
    if orphans:
        found = f"{len(orphans)} labels have no image; this is the first"
        fix = "add the images, or list those to use with `split: list:FILE`"
        raise UserError(str(orphans[0]), found, "an image for each label", fix)


def _refuse_errors(dataset: Dataset, errors: Sequence[UserError], total: int) -> None:
    if not errors:
        return
    first = errors[0]
    if len(errors) == 1:
        raise first
    lines = "".join(f"\n  {error.where}: {error.found}" for error in errors[:_SHOWN])
    more = f"\n  and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    found = f"{len(errors)} of {total} images or their labels are wrong{lines}{more}"
    raise UserError(dataset.layout.root, found, first.allowed, first.fix)


def _refuse_empty_classes(dataset: Dataset, report: Report, absent: Collection[str]) -> None:
    empty = [name for name, count in report.pixels.items() if count == 0 and name not in absent]
    if empty:
        raise UserError(
            dataset.layout.root,
            f"no label has a pixel of {', '.join(empty)} (in {report.labelled} labels)",
            "every one of `classes` in the labels, except those listed in `allow_absent`",
            "a wrong mapping of ids looks like this: check it; else list these classes in `allow_absent`",
        )
