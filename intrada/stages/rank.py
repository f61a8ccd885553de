"""Step 2 of the paper: sort the target images by entropy and call the surest share of them easy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from intrada.core.config.schema import Params
from intrada.core.stage import In, Out, RoundOption
from intrada.data import tables
from intrada.methods import ranking

READS = ("rank", "rounds.{round}")


def run(
    params: Params,
    scores: Annotated[Path, In("scores.csv of the score stage")],
    out: Annotated[Path, Out("split.csv: image, score, rank, subset (easy or hard)")],
    round: Annotated[str, RoundOption()] = "",
) -> None:
    """Cut the target images at lambda of the ranking by `rank.rule`.

    lambda: `rank.easy_fraction` in the first round, each later one's own.
    """
    block = params.rank
    fraction = params.rounds[round].easy_fraction if round else block.easy_fraction
    table = tables.read(scores, tables.SCORES)
    split = ranking.rank(table, block.rule, fraction, block.rare_classes)
    tables.write(out, split, tables.SPLIT)
    if fraction > 0 and not (split["subset"] == tables.EASY).any():
        found = f"lambda {fraction:g} of {len(split)} images is less than one: none is easy"
        print(f"note: {found}, and step 3 will be skipped as with lambda 0", file=sys.stderr)
