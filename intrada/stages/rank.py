"""Step 2 of the paper: sort the target images by entropy; the fraction lambda with the lowest is easy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import failures
from intrada.core.config.schema import Params
from intrada.core.plain_text import logger
from intrada.core.stage import In, Out, RoundOption
from intrada.data import tables
from intrada.methods import ranking

log = logger(__name__)

READS = ("rank", "rounds.{round}")


def run(
    params: Params,
    scores: Annotated[Path, In("scores.csv of the score stage")],
    out: Annotated[Path, Out("split.csv: image, score, rank, subset (easy or hard)")],
    round: Annotated[str, RoundOption()] = "",
) -> None:
    """Rank the target images by `rank.rule` and split them at lambda.

    lambda is `rank.easy_fraction` in the first round and `rounds.<round>.easy_fraction` in a later one.
    Prints a note if lambda is above 0 but no image is easy. UserError for scores without images that failed.
    """
    block = params.rank
    fraction = params.rounds[round].easy_fraction if round else block.easy_fraction
    table = tables.read(scores, tables.SCORES)
    failures.refuse_incomplete(scores, table["image"])
    split = ranking.rank(table, block.rule, fraction, block.rare_classes, block.seed)
    tables.write(out, split, tables.SPLIT)
    if fraction > 0 and not (split["subset"] == tables.EASY).any():
        log.warning(
            f"note: lambda {fraction:g} of {len(split)} images is less than one image. No image is easy, and "
            "step 3 is skipped, as with lambda 0."
        )
