"""Validate the raw data of one further labelled data set against the params, before they are preprocessed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import files
from intrada.core.config.data_blocks import LabelledSet
from intrada.core.config.schema import Params
from intrada.core.stage import Context, In, Out, SetOption
from intrada.data.datasets import checking, faults
from intrada.data.datasets.checking import Checked

READS = ("classes", "sources.{sources}", "target_labelled.{target_labelled}")


def run(
    params: Params,
    *,
    sources: Annotated[str, SetOption("a data set of `sources`")] = "",
    target_labelled: Annotated[str, SetOption("a data set of `target_labelled`")] = "",
    root: Annotated[Path, In("folder of the raw data", raw=True)],
    stamp: Annotated[Path, Out("a stamp: the data are valid (the same bytes for all valid data)")],
    out: Annotated[Path, Out("statistics of the data: images, sizes, pixels per class (JSON)")],
    context: Context,
) -> None:
    """Validate the data set and write its statistics, as `check` does for the three domains.

    Every image needs a label. Raises one UserError with all faults, lists them in a file, and writes no
    stamp, for invalid data.
    """
    block: LabelledSet = params.sources[sources] if sources else params.target_labelled[target_labelled]
    name = f"sources.{sources}" if sources else f"target_labelled.{target_labelled}"
    listing = faults.LISTING.with_name(f"check_faults_{sources or target_labelled}.txt")
    blocks = {name: Checked(block, root)}
    statistics = checking.check(blocks, params.class_set, context.workers, context.progress, listing)
    files.write_json(out, statistics)
    files.write_json(stamp, checking.STAMP)
