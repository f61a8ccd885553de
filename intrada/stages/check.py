"""Validate the raw data against the params, before any other stage writes an output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.stage import Context, In, Out
from intrada.data.datasets import checking
from intrada.data.datasets.checking import Checked

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
    domains = params.preprocess
    blocks = {
        "source": Checked(domains.source, source),
        "target": Checked(domains.target, target),
        "val": Checked(domains.val, val),
    }
    statistics = checking.check(blocks, params.class_set, context.workers, context.progress)
    files.write_json(out, statistics)
    files.write_json(stamp, checking.STAMP)
