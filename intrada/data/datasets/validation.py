"""Validation of a dataset before anything is computed from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from intrada.core import file_errors, files
from intrada.core.config.classes import IGNORE
from intrada.core.errors import UserError
from intrada.data.datasets import check_cache, faults, near_miss, palettes
from intrada.data.datasets.base import Dataset, Item, Survey
from intrada.data.datasets.check_cache import Lookup

_SAME_SHAPE = 0.02  # largest relative difference of the aspect ratios of an image and a rescaled label
_EXAMPLES = 5
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
    same aspect ratio (GTA5 has a few). left_out: the number of other files below the image folder, with the
    first as examples; excluded: the number of images that the option `exclude` leaves out.
    """

    images: int
    labelled: int
    sizes: dict[Size, int]
    pixels: dict[str, int]
    ignored: int
    rescaled: list[str]
    left_out: int = 0
    examples: list[str] = field(default_factory=list)
    excluded: int = 0


@dataclass(frozen=True)
class Work:
    """How to examine: the number of threads, the progress bar, the cache and the kind of its label entries.

    labels: names the coding of the labels, since a cached result counts for one coding only.
    """

    workers: int = 1
    progress: Progress | None = None
    lookup: Lookup = check_cache.no_cache
    labels: str = ""


def validate(dataset: Dataset, labelled: bool, absent: Collection[str] = (), workers: int = 1) -> Report:
    """Return the report of `examine`. Raises UserError, which has all faults, if there are any."""
    report, found = examine(dataset, labelled, absent, Work(workers))
    faults.raise_joined(dataset.layout.root, found)
    assert report
    return report


def examine(
    dataset: Dataset, labelled: bool, absent: Collection[str] = (), work: Work | None = None
) -> tuple[Report | None, list[UserError]]:
    """Decode every image and, if `labelled`, every label; return the report, or all faults.

    absent: names of classes that may have no pixel. Faults are: no image, names that contradict each other,
    an image that cannot be decoded. If `labelled`, also an image without label, a label without image, a
    broken label, a label of another aspect ratio than its image, ids or colours that the dataset does not
    define, an id with two colours, and a class without a pixel.
    """
    work = work or Work()
    try:
        for name in absent:
            dataset.classes.index(name)
        survey = dataset.survey()
    except UserError as error:
        return None, [error]
    found = [*survey.faults]
    if labelled:
        found += _without_partner(dataset, survey)
    results = _all(dataset, survey.items, labelled, work)
    found += [fault for result in results for fault in result.faults]
    found += palettes.conflicts((result.item.label, result.colors) for result in results if result.item.label)
    report = _report(dataset, survey, results, labelled)
    if labelled and results and all(result.pixels is not None for result in results):
        found += _empty_classes(dataset, report, absent)
    return (None, found) if found else (report, [])


@dataclass(frozen=True)
class _Result:
    """One image and its label.

    size: of the image, None if it is broken. pixels: number of each index (256,), None if the label is
    missing or broken; zeros if labels are not read. rescaled: the label has another size; colors: of its ids.
    """

    item: Item
    size: Size | None
    pixels: np.ndarray | None
    rescaled: bool
    colors: dict[str, str]
    faults: list[UserError]


def _all(dataset: Dataset, items: Sequence[Item], labelled: bool, work: Work) -> list[_Result]:
    with ThreadPoolExecutor(work.workers) as pool:
        results: Iterator[_Result] = pool.map(lambda item: _check(dataset, item, labelled, work), items)
        try:
            return list(work.progress(results, len(items), "image") if work.progress else results)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # those that have not started
            raise


def _check(dataset: Dataset, item: Item, labelled: bool, work: Work) -> _Result:
    """Check one image and its label. Errors are returned, not raised, so that all of them are reported."""
    found: list[UserError] = []
    size = label = None
    try:
        width, height = work.lookup("image", item.image, lambda: _size(files.read_image(item.image)))
        size = width, height
    except UserError as error:
        found.append(_of_raw_data(error))
    if not labelled:
        return _Result(item, size, np.zeros(256, np.int64), False, {}, found)
    if item.label is None:
        return _Result(item, size, None, False, {}, found)
    path = item.label
    try:
        label = work.lookup(work.labels, path, lambda: _label(dataset, path))
    except UserError as error:
        found.append(_of_raw_data(error))
        return _Result(item, size, None, False, {}, found)
    columns, rows = label["size"]
    if size and abs(columns * size[1] / (rows * size[0]) - 1) > _SAME_SHAPE:
        shown = f"{columns}x{rows} pixels, its image has {size[0]}x{size[1]}"
        fix = "pair the right files, or list the image in the option `exclude`"
        found.append(UserError(path, shown, "a label of the size of its image, or of its aspect ratio", fix))
    pixels = np.zeros(256, np.int64)
    pixels[[int(index) for index in label["pixels"]]] = list(label["pixels"].values())
    return _Result(item, size, pixels, (columns, rows) != size, label["colors"], found)


def _of_raw_data(error: UserError) -> UserError:
    """Return an error about a file with the advice for raw data, which no stage wrote."""
    fix = "fix or replace it" if error.fix == file_errors.REPLACE_FILE else error.fix
    fix = f"{fix}; or leave the image out: {near_miss.LEAVE_OUT}"
    return UserError(error.where, error.found, error.allowed, fix)


def _size(image: np.ndarray) -> Size:
    return image.shape[1], image.shape[0]


def _label(dataset: Dataset, path: Path) -> dict[str, object]:
    """Return the size of a label, the number of pixels of each index, and the colours of its ids, as JSON."""
    label = dataset.read_label(path)
    counts = np.bincount(label.ravel(), minlength=256)
    pixels = {str(index): int(counts[index]) for index in np.flatnonzero(counts)}
    colors = palettes.used_colors(path) if dataset.one_palette else {}
    return {"size": _size(label), "pixels": pixels, "colors": colors}


def missing_labels(dataset: Dataset, survey: Survey) -> list[UserError]:
    """Return a fault for each image without a label, or one if the options say that there are none."""
    layout, missing = dataset.layout, survey.unlabelled
    if missing and layout.labels is None:
        allowed = "a source with labels; only target and evaluation data may have none"
        fix = "set the option `labels` of the dataset"
        return [UserError(layout.root, f"`{layout.no_labels}`", allowed, fix)]
    if not missing:
        return []
    return near_miss.missing_labels(
        layout.root, str(layout.labels), layout.no_labels, missing, len(survey.items)
    )


def _without_partner(dataset: Dataset, survey: Survey) -> list[UserError]:
    """Return the faults for images without a label and labels without an image."""
    fix = "add the images, list the labels in `exclude`, or list the images to use in `split: list:FILE`"
    orphans = [
        UserError(path, "no image has this label", "an image for each label", fix) for path in survey.orphans
    ]
    return missing_labels(dataset, survey) + orphans


def _report(dataset: Dataset, survey: Survey, results: Sequence[_Result], labelled: bool) -> Report:
    pixels = np.sum([result.pixels for result in results if result.pixels is not None], axis=0) + np.zeros(
        256, int
    )
    return Report(
        images=len(results),
        labelled=sum(result.item.label is not None for result in results),
        sizes=dict(Counter(result.size for result in results if result.size)),
        pixels={name: int(pixels[i]) for i, name in enumerate(dataset.classes.names)} if labelled else {},
        ignored=int(pixels[IGNORE]),
        rescaled=[result.item.id for result in results if result.rescaled],
        left_out=len(survey.left_out),
        examples=[path.relative_to(dataset.layout.root).as_posix() for path in survey.left_out[:_EXAMPLES]],
        excluded=survey.excluded,
    )


def _empty_classes(dataset: Dataset, report: Report, absent: Collection[str]) -> list[UserError]:
    empty = [name for name, count in report.pixels.items() if count == 0 and name not in absent]
    if not empty:
        return []
    return [
        UserError(
            dataset.layout.root,
            f"no label has a pixel of {', '.join(empty)} (in {report.labelled} labels)",
            "every one of `classes` in the labels, except those listed in `allow_absent`",
            "a wrong mapping of ids looks like this: check it; else list these classes in `allow_absent`",
        )
    ]
