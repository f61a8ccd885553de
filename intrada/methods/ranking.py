"""Step 2 of the paper: sort the target images by entropy and split them into easy and hard.

Source: IntraDA (CVPR 2020), section 3.2; for the normalised rules, section 4.3 and the published code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import seeding
from intrada.core.errors import UserError
from intrada.data.tables import EASY, HARD, PIXELS

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def _mean_entropy(entropy: Floats, n_rare: Counts, rare: int) -> Floats:
    return entropy


def _published_normalized(entropy: Floats, n_rare: Counts, rare: int) -> Floats:
    # The published code has 11 rare classes out of Cityscapes' 19.
    return entropy * ((rare - n_rare) / rare + 0.5)


def _paper_normalized(entropy: Floats, n_rare: Counts, rare: int) -> Floats:
    # The paper does not define the score of an image without rare classes; here it is the entropy.
    return entropy / np.maximum(1, n_rare)


# rule -> function of (entropy, number of rare classes in the image, number of all rare classes) -> score
RULES: dict[str, Callable[[Floats, Counts, int], Floats]] = {
    "mean_entropy": _mean_entropy,
    "published_normalized": _published_normalized,
    "paper_normalized": _paper_normalized,
}
SHUFFLED = "shuffled"  # the control of these rules: an order that depends on the ids and a seed alone


def score(table: pd.DataFrame, rule: str, rare_classes: Sequence[str]) -> Floats:
    """Return the score of each image, (N,) float64; a low score means a confident prediction.

    table: one row per image, with `entropy` (mean pixel entropy, 0..1) and, for each rare class, a column
    `pixels_<class>` with the number of pixels that are predicted as this class. A class is in the image if it
    has at least one pixel. The published code divides the entropy by the number of classes as well, which
    changes the order of no rule.
    Raises UserError for an unknown rule, no rare class for a rule that counts them, a missing column, and an
    entropy that is nan or infinite.
    """
    if rule not in RULES:
        allowed = ", ".join([*RULES, SHUFFLED])
        raise UserError("rank.rule", f"unknown rule {rule!r}", allowed, "choose one of these")
    if rule != "mean_entropy" and not rare_classes:
        raise UserError(
            "rank.rare_classes",
            f"empty, but {rule} counts them",
            "at least one class name",
            "list the rare classes, or set rank.rule to mean_entropy",
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
            "choose classes of the active class set, or run `score` again",
        )


def shuffled(images: Sequence[str], seed: int) -> Floats:
    """Return a random number in 0..1 for each image, (N,) float64; that of an image depends on no other."""
    return np.array([seeding.derive(seed, SHUFFLED, image) for image in images], np.float64) / 2.0**63


def rank(
    table: pd.DataFrame,
    rule: str,
    easy_fraction: float,
    rare_classes: Sequence[str] = (),
    seed: int | None = None,
) -> pd.DataFrame:
    """Sort the images by score. The first `int(easy_fraction * N)` are easy, the others hard.

    table: as for `score`, with the id of the image in `image`; rule: one of RULES, or SHUFFLED, whose order
    is random and depends on `seed`; easy_fraction: lambda in the paper, 0..1.
    Returns a frame with the columns image, score, rank (1 = lowest score) and subset ("easy" or "hard"),
    sorted by rank. Images of equal score keep the order of the table.
    Raises UserError as `score` does, for a fraction outside 0..1 or nan, and for an image in two rows.
    """
    if math.isnan(easy_fraction) or not 0 <= easy_fraction <= 1:
        raise UserError(
            "rank.easy_fraction",
            str(easy_fraction),
            "0 (no easy image) to 1 (no hard image)",
            "the paper uses 0.67",
        )
    _require(table, ["image"])
    duplicates = table["image"][table["image"].duplicated()]
    if len(duplicates):
        raise UserError(
            "scores", f"image {duplicates.iloc[0]} is in two rows", "one row per image", "run `score` again"
        )
    if rule == SHUFFLED:
        scores = shuffled(table["image"].tolist(), seed or 0)
    else:
        scores = score(table, rule, rare_classes)
    order = np.argsort(scores, kind="stable")
    ranks = np.arange(1, len(order) + 1)
    # int() as in the published code: 0.29 of 100 images is 28, because 0.29 * 100 is just below 29.
    easy = ranks <= int(easy_fraction * len(order))
    return pd.DataFrame(
        {
            "image": table["image"].to_numpy()[order],
            "score": scores[order],
            "rank": ranks,
            "subset": np.where(easy, EASY, HARD),
        }
    )
