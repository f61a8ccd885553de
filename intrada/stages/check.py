"""Validate the raw data against the params, before any other stage writes an output."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Domain, Params
from intrada.core.errors import UserError
from intrada.core.plain_text import logger
from intrada.core.stage import Context, In, Out
from intrada.data.datasets import check_cache, faults, open_dataset
from intrada.data.datasets.base import Dataset
from intrada.data.datasets.validation import Report, Work, examine

log = logger(__name__)

READS = ("classes", "preprocess")


def run(
    params: Params,
    source: Annotated[Path, In("folder of the raw source data", raw=True)],
    target: Annotated[Path, In("folder of the raw target data", raw=True)],
    val: Annotated[Path, In("folder of the raw evaluation data", raw=True)],
    stamp: Annotated[Path, Out("a stamp: the data are valid (the same bytes for all valid data)")],
    out: Annotated[Path, Out("statistics of the data: images, sizes, pixels per class (JSON)")],
    context: Context,
) -> None:
    """Validate the three domains and write their statistics.

    Every image is decoded, and every source label and evaluation label unless the options say that there are
    none. Target labels are never read. What did not change since the last check is in a cache. Raises one
    UserError with the faults of all domains, lists them in a file, and writes no stamp, for invalid data.
    """
    reports: dict[str, Report | None] = {}
    found: dict[str, list[UserError]] = {}
    with check_cache.opened() as lookup:
        for name, root in {"source": source, "target": target, "val": val}.items():
            block: Domain = getattr(params.preprocess, name)
            work = Work(context.workers, context.progress, lookup, _coding(block, params.class_set))
            reports[name], found[name] = _examine(name, block, root, params.class_set, work)
    _raise(found)
    statistics = {name: _to_json(report) for name, report in reports.items() if report}
    files.write_json(out, statistics)
    files.write_json(stamp, {"raw data": "sound"})


def _examine(
    name: str, block: Domain, root: Path, classes: ClassSet, work: Work
) -> tuple[Report | None, list[UserError]]:
    try:
        dataset = open_dataset(block.dataset, root, block.split, block.options, classes)
    except UserError as error:
        return None, [error]
    has_labels = dataset.layout.labels is not None
    labelled = name == "source" or (name == "val" and has_labels)
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


def _coding(block: Domain, classes: ClassSet) -> str:
    """Return a short hash of how labels are read; a cached result counts for one such hash."""
    text = repr((block.dataset, block.options, classes.names))
    return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()


def _raise(found: dict[str, list[UserError]]) -> None:
    """Raise all faults as one UserError; several of them are listed in a file, too."""
    count = sum(map(len, found.values()))
    if count > 1:
        faults.write(faults.LISTING, found)
    else:
        faults.LISTING.unlink(missing_ok=True)
    if count:
        raise faults.joined("raw data", found, str(faults.LISTING))


def _to_json(report: Report) -> dict[str, Any]:
    sizes = {f"{width}x{height}": count for (width, height), count in sorted(report.sizes.items())}
    return asdict(report) | {"sizes": sizes}
