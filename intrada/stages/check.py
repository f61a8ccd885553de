"""Validate the raw data against the params, before any other stage writes an output."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from intrada.core import files
from intrada.core.config.schema import Domain, Params
from intrada.core.stage import Context, In, Out
from intrada.data.datasets import open_dataset
from intrada.data.datasets.validation import Report, validate

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

    The size of every image is read, and every pixel of the source labels and of the evaluation labels, if
    there are any. Target labels are never read. Raises UserError, and writes no stamp, for invalid data.
    """
    classes = params.class_set
    statistics: dict[str, Any] = {}
    for name, root in {"source": source, "target": target, "val": val}.items():
        block: Domain = getattr(params.preprocess, name)
        dataset = open_dataset(block.dataset, root, block.split, block.options, classes)
        labelled = name == "source" or (name == "val" and any(item.label for item in dataset.items()))
        report = validate(dataset, labelled, block.allow_absent, context.workers, context.progress)
        statistics[name] = _to_json(report)
    files.write_json(out, statistics)
    files.write_json(stamp, {"raw data": "sound"})


def _to_json(report: Report) -> dict[str, Any]:
    sizes = {f"{width}x{height}": count for (width, height), count in sorted(report.sizes.items())}
    return asdict(report) | {"sizes": sizes}
