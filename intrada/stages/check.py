"""Are the raw data what params.yaml says? Asked before any artifact is touched."""

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
    stamp: Annotated[Path, Out("a stamp: the data were sound (the same for all sound data)")],
    out: Annotated[Path, Out("what was found: images, sizes, pixels per class (JSON)")],
    context: Context,
) -> None:
    """Source labels are read whole, evaluation labels where there are any, target labels never."""
    classes = params.class_set
    found: dict[str, Any] = {}
    for name, root in {"source": source, "target": target, "val": val}.items():
        block: Domain = getattr(params.preprocess, name)
        dataset = open_dataset(block.dataset, root, block.split, block.options, classes)
        labelled = name == "source" or (name == "val" and any(item.label for item in dataset.items()))
        report = validate(dataset, labelled, block.allow_absent, context.workers, context.progress)
        found[name] = _plain(report)
    files.write_json(out, found)
    files.write_json(stamp, {"raw data": "sound"})


def _plain(report: Report) -> dict[str, Any]:
    sizes = {f"{width}x{height}": count for (width, height), count in sorted(report.sizes.items())}
    return asdict(report) | {"sizes": sizes}
