"""Step 2 of the paper: order the target images by entropy and cut them into easy and hard.

Source: IntraDA (CVPR 2020), section 3.2; the normalised rules, its section 4.3 and the published code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core.errors import UserError
from intrada.data.tables import EASY, HARD, PIXELS

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def _mean_entropy(entropy: Floats, n_rare: Counts, rare: int) -> Floats:
    return entropy


def _published_normalized(entropy: Floats, n_rare: Counts, rare: int) -> Floats:
    # rare is 11 in the published code, which counts them on Cityscapes' 19 classes.
    return entropy * ((rare - n_rare) / rare + 0.5)


def _paper_normalized(entropy: Floats, n_rare: Counts, rare: int) -> Floats:
    # The paper's text does not say what happens to an image without rare classes; it stays as it is.
    return entropy / np.maximum(1, n_rare)


# rule -> score from (entropy, number of rare classes that occur in the image, number of rare classes)
RULES: dict[str, Callable[[Floats, Counts, int], Floats]] = {
    "mean_entropy": _mean_entropy,
    "published_normalized": _published_normalized,
    "paper_normalized": _paper_normalized,
}


def score(table: pd.DataFrame, rule: str, rare_classes: Sequence[str]) -> Floats:
    """Score of each image, (N,) float64, low = sure of itself.

    table: one row an image with `entropy` (mean pixel entropy, 0..1) and, for each rare class, a column
    `pixels_<class>`: how many pixels the model called so; the class occurs if there is at least one.
    The published code's entropy is ours divided by the number of classes, which keeps every rule's order.
    UserError: unknown rule, no rare class for a rule that counts them, missing columns, nan scores.
    """
    if rule not in RULES:
        raise UserError("rank.rule", f"unknown rule {rule!r}", ", ".join(RULES), "name one of these")
    if rule != "mean_entropy" and not rare_classes:
        raise UserError(
            "rank.rare_classes",
            f"empty, but {rule} counts them",
            "at least one class name",
            "name the rare classes or set rank.rule to mean_entropy",
        )
    _require(table, ["entropy"])
    entropy = table["entropy"].to_numpy(np.float64)
    if not np.isfinite(entropy).all():
        bad = table.index[~np.isfinite(entropy)][0]
        raise UserError("scores", f"entropy of row {bad} is not a number", "0..1", "run `score` again")
    return RULES[rule](entropy, _count_rare(table, rule, rare_classes), len(rare_classes))


def _count_rare(table: pd.DataFrame, rule: str, rare_classes: Sequence[str]) -> Counts:
    if rule == "mean_entropy":
        return np.zeros(len(table), np.int64)
    columns = [PIXELS + name for name in rare_classes]
    _require(table, columns)
    present: Counts = (table[columns].to_numpy() > 0).sum(1).astype(np.int64)
    return present


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(
            "scores",
            f"no column {', '.join(missing)}",
            ", ".join(map(str, table.columns)),
            "name classes of the active class set, or run `score` again",
        )


def rank(
    table: pd.DataFrame, rule: str, easy_fraction: float, rare_classes: Sequence[str] = ()
) -> pd.DataFrame:
    """Order the images by score and call the first `int(easy_fraction * N)` easy, the rest hard.

    table: as for `score`, with the image's id in `image`. easy_fraction: lambda in the paper, 0..1.
    Returns image, score, rank (1 = most certain), subset ("easy" or "hard"), sorted by rank; equal scores
    keep the table's order. UserError: those of `score`, a fraction outside 0..1 or nan, an image twice.
    """
    if math.isnan(easy_fraction) or not 0 <= easy_fraction <= 1:
        raise UserError(
            "rank.easy_fraction",
            str(easy_fraction),
            "0 (no easy image) to 1 (no hard image)",
            "0.67 is the paper's",
        )
    _require(table, ["image"])
    twice = table["image"][table["image"].duplicated()]
    if len(twice):
        raise UserError(
            "scores", f"image {twice.iloc[0]} stands in two rows", "one row an image", "run `score` again"
        )
    scores = score(table, rule, rare_classes)
    order = np.argsort(scores, kind="stable")
    ranks = np.arange(1, len(order) + 1)
    # int() as in the published code: 0.29 of 100 images are 28, since 0.29 * 100 is just below 29.
    easy = ranks <= int(easy_fraction * len(order))
    return pd.DataFrame(
        {
            "image": table["image"].to_numpy()[order],
            "score": scores[order],
            "rank": ranks,
            "subset": np.where(easy, EASY, HARD),
        }
    )
