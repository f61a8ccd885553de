"""Whether a dataset is what it claims to be, asked before anything is computed from it."""

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

_SAME_SHAPE = 0.02  # relative difference of aspect ratios up to which a label is a rescaled one
_SHOWN = 5  # files named in an error
Thing = TypeVar("Thing")
Size = tuple[int, int]


class Progress(Protocol):
    """Passes items through and shows how many have passed."""

    def __call__(self, items: Iterable[Thing], total: int, unit: str) -> Iterator[Thing]: ...


@dataclass(frozen=True)
class Report:
    """What a sound dataset holds.

    images, labelled: how many. sizes: (width, height) of the images -> how many. pixels: labelled
    pixels of each class, by name; ignored: pixels of none (both empty when labels are not asked
    for). rescaled: ids whose label has another size than the image but its shape (GTA5 has a few).
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
    """Look at every image's header and, if `labelled`, at every pixel of every label.

    absent: names of classes that may be missing from the labels. Labels are not opened unless
    `labelled`. UserError, naming the first files, for: no image; an unreadable header; and if
    `labelled` an image without label or the reverse, a broken label, one of another shape than its
    image, ids or colours that the dataset does not know, a class without a single pixel.
    """
    for name in absent:
        dataset.classes.index(name)
    items = dataset.items()
    if labelled:
        require_labels(items)
        _refuse_orphans(dataset.orphans())
    with ThreadPoolExecutor(workers) as pool:
        looked: Iterator[_Look | UserError] = pool.map(lambda item: _look(dataset, item, labelled), items)
        results = list(progress(looked, len(items), "image") if progress else looked)
    looks = [result for result in results if isinstance(result, _Look)]
    _refuse_errors(dataset, [result for result in results if isinstance(result, UserError)], len(items))
    pixels = np.sum([look.pixels for look in looks], axis=0)
    report = Report(
        images=len(items),
        labelled=sum(item.label is not None for item in items),
        sizes=dict(Counter(look.size for look in looks)),
        pixels={name: int(pixels[i]) for i, name in enumerate(dataset.classes.names)} if labelled else {},
        ignored=int(pixels[IGNORE]),
        rescaled=[look.id for look in looks if look.rescaled],
    )
    _refuse_empty_classes(dataset, report, absent)
    return report


@dataclass(frozen=True)
class _Look:
    """One image: its id, its size, pixels of each index (256,), whether its label is a rescaled one."""

    id: str
    size: Size
    pixels: np.ndarray
    rescaled: bool


def _look(dataset: Dataset, item: Item, labelled: bool) -> _Look | UserError:
    """An error is returned, not raised: the user wants to see all wrong files at once."""
    try:
        width, height = files.image_size(item.image)
        if not labelled or item.label is None:
            return _Look(item.id, (width, height), np.zeros(256, np.int64), rescaled=False)
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
    return _Look(item.id, (width, height), pixels, rescaled=(columns, rows) != (width, height))


def _refuse_orphans(orphans: Sequence[object]) -> None:
    if orphans:
        found = f"{len(orphans)} labels have no image; this is the first"
        fix = "add the images, or name those to use with `split: list:FILE`"
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
