"""How step 2 ranked and cut the target's training images, on the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from intrada.core.config.schema import Rank
from intrada.data.tables import EASY, HARD
from intrada.evaluation.reporting import figures
from intrada.evaluation.reporting.svg import Axes
from intrada.methods.near_ties import near_ties

QUANTITIES = {
    "mean_entropy": "mean pixel entropy, 0..1",
    "published_normalized": "entropy normalised by rare classes, as in the published code",
    "paper_normalized": "entropy normalised by rare classes, as in the paper",
}
FLOAT32 = "float32"


@dataclass(frozen=True)
class Cut:
    """chart: histogram of the scores; counts: subset -> images; facts: pairs of a term and its value."""

    chart: Markup
    caption: str
    counts: dict[str, int]
    facts: list[tuple[str, str]]


def build(
    split: pd.DataFrame, rank: Rank, num_classes: int, precision: str | None, is_recorded: bool = True
) -> Cut:
    """Return the section about the ranking.

    split: split.csv. precision: of the run that made the scores, None if it is not recorded. is_recorded:
    `rank` is from the record of the run; if not, it is of params.yaml, and the page says so.
    """
    counts = {subset: int((split["subset"] == subset).sum()) for subset in (EASY, HARD)}
    facts = _facts(split, rank, counts, is_recorded)
    if precision != FLOAT32:
        ties = int(near_ties(split, rank.rule, num_classes).sum())
        facts.append(("near ties, whose subset could change under bfloat16 rounding", str(ties)))
    return Cut(_histogram(split, rank), _caption(split, rank, counts), counts, facts)


def _facts(
    split: pd.DataFrame, rank: Rank, counts: dict[str, int], is_recorded: bool
) -> list[tuple[str, str]]:
    note = "" if is_recorded else " (of params.yaml; the run is not recorded)"
    rows = [
        ("ranking rule", f"{rank.rule}{note}"),
        ("lambda (rank.easy_fraction)", f"{rank.easy_fraction:g}{note}"),
        ("target training images", f"{len(split)}: {counts[EASY]} easy, {counts[HARD]} hard"),
    ]
    if rank.rule != "mean_entropy":
        rows.insert(1, ("rare classes", ", ".join(rank.rare_classes)))
    if not counts[EASY]:
        rows.append(
            ("step 3", "skipped, since no image is easy; the intra model is a copy of step 1's model")
        )
    elif not counts[HARD]:
        rows.append(("step 3", "self-training without adversarial losses, since no image is hard"))
    return rows


def _caption(split: pd.DataFrame, rank: Rank, counts: dict[str, int]) -> str:
    start = f"Ranking score ({QUANTITIES[rank.rule]}) of the {len(split)} target training images."
    if not all(counts.values()):
        subset = EASY if counts[EASY] else HARD
        return f"{start} With lambda = {rank.easy_fraction:g} there is no cut: all images are {subset}."
    return (
        f"{start} The cut at lambda = {rank.easy_fraction:g} separates {counts[EASY]} easy images (left) "
        f"from {counts[HARD]} hard images (right)."
    )


def _histogram(split: pd.DataFrame, rank: Rank) -> Markup:
    """Draw the images by their score; a bin has a border at the cut, so that no bar is easy and hard."""
    edges, cut = figures.score_bins(split)
    counts = {
        subset: np.histogram(split["score"][split["subset"] == subset], edges)[0] for subset in (EASY, HARD)
    }
    highest = max(int(values.max()) for values in counts.values())
    axes = Axes(
        (float(edges[0]), float(edges[-1])), (0, 1.08 * highest), "ranking score; low is sure", "images", 560
    )
    marks = [
        axes.bar(float(left), float(right), 0, int(value), subset, f"{value} {subset} images")
        for subset, values in counts.items()
        for left, right, value in zip(edges, edges[1:], values, strict=False)
        if value
    ]
    if cut is not None:
        marks.append(axes.line([(cut, 0), (cut, axes.y[1])], "rule", f"cut at {cut:.4f}"))
    return axes.chart(f"histogram of the ranking scores: {QUANTITIES[rank.rule]}", *marks)
