"""Step 2 of the paper: sort the target images by entropy and call the surest share of them easy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada import ranking, tables
from intrada.params import Params
from intrada.stage import In, Out

READS = ("rank",)


def run(
    params: Params,
    scores: Annotated[Path, In("scores.csv of the score stage")],
    out: Annotated[Path, Out("split.csv: image, score, rank, part (easy or hard)")],
) -> None:
    """Cut the target images at `rank.easy_fraction` (lambda) of the ranking by `rank.rule`."""
    block = params.rank
    table = tables.read(scores, tables.SCORES)
    split = ranking.rank(table, block.rule, block.easy_fraction, block.rare_classes)
    tables.write(out, split, tables.SPLIT)
