"""Check the raw data of several blocks of the params, and collect the faults of all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from intrada.core.config.classes import ClassSet
from intrada.core.config.data_blocks import Domain
from intrada.core.errors import UserError
from intrada.core.plain_text import logger
from intrada.data.datasets import check_cache, faults, open_dataset
from intrada.data.datasets.base import Dataset
from intrada.data.datasets.validation import Progress, Report, Work, examine

log = logger(__name__)
STAMP = {"raw data": "sound"}


@dataclass(frozen=True)
class Checked:
    """A block of the params with its folder of raw data."""

    block: Domain
    root: Path


def check(
    blocks: Mapping[str, Checked],
    classes: ClassSet,
    workers: int,
    progress: Progress,
    listing: Path = faults.LISTING,
) -> dict[str, dict[str, Any]]:
    """Return the statistics of the raw data of each block (values for JSON), given name -> block.

    Every image is decoded, and every label unless the options say that there are none. The labels of
    "target" are never read. What did not change since the last check is in a cache. Raises one UserError with
    the faults of all blocks, and lists them in the file `listing`; else says what each block has.
    """
    reports: dict[str, Report | None] = {}
    found: dict[str, list[UserError]] = {}
    with check_cache.opened() as lookup:
        for name, checked in blocks.items():
            work = Work(workers, progress, lookup, _coding(checked.block, classes))
            reports[name], found[name] = _examine(name, checked, classes, work)
    _raise(found, listing)
    valid = {name: report for name, report in reports.items() if report}
    for name, report in valid.items():
        log.info(f"check: {name}: {_summary(report)}")
    return {name: _to_json(report) for name, report in valid.items()}


def _examine(
    name: str, checked: Checked, classes: ClassSet, work: Work
) -> tuple[Report | None, list[UserError]]:
    block = checked.block
    try:
        dataset = open_dataset(block.dataset, checked.root, block.split, block.options, classes)
    except UserError as error:
        return None, [error]
    has_labels = dataset.layout.labels is not None
    labelled = name not in ("target", "val") or (name == "val" and has_labels)
    report, found = examine(dataset, labelled, block.allow_absent, work)
    if report:
        _tell(name, dataset, report)
    return report, found


def _tell(name: str, dataset: Dataset, report: Report) -> None:
    """Say on stderr which files are left out, and that a target has none of the labels of its pattern."""
    if report.left_out:
        examples = ", ".join(map(repr, report.examples))
        more = ", ..." if report.left_out > len(report.examples) else ""
        text = (
            f"{report.left_out} files do not match {dataset.layout.images} and are left out: {examples}{more}"
        )
        log.warning(f"check: {name}: {text}")
    if name == "target" and dataset.layout.labels is not None and not report.labelled:
        text = f"no label at {dataset.layout.root / dataset.layout.labels}; only the report would use them"
        log.info(f"check: {name}: {text}")


def _summary(report: Report) -> str:
    """Return the numbers of images and labels, and the share of the labelled pixels that each class has."""
    text = f"{report.images} images, {report.labelled or 'no'} labels"
    total = sum(report.pixels.values())
    shares = [f"{name} {count / total:.1%}" for name, count in report.pixels.items()] if total else []
    return f"{text}: {', '.join(shares)}" if shares else text


def _coding(block: Domain, classes: ClassSet) -> str:
    """Return a short hash of how labels are read; a cached result counts for one such hash."""
    text = repr((block.dataset, block.options, classes.names))
    return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()


def _raise(found: dict[str, list[UserError]], listing: Path) -> None:
    """Raise all faults as one UserError; several of them are listed in a file, too."""
    count = sum(map(len, found.values()))
    if count > 1:
        faults.write(listing, found)
    else:
        listing.unlink(missing_ok=True)
    if count:
        raise faults.joined("raw data", found, str(listing))


def _to_json(report: Report) -> dict[str, Any]:
    sizes = {f"{width}x{height}": count for (width, height), count in sorted(report.sizes.items())}
    return asdict(report) | {"sizes": sizes}
