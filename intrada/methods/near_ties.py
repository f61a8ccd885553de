"""Images whose easy/hard assignment could flip under bfloat16 rounding."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.data.tables import EASY

# ranking rule -> the largest factor that it multiplies an entropy by
LARGEST_FACTOR = {"mean_entropy": 1.0, "published_normalized": 1.5, "paper_normalized": 1.0}


def bf16_tolerance(num_classes: int) -> float:
    """Return a bound on the change of an image's entropy (0..1) under bfloat16: 0.0061 with 19 classes.

    bfloat16 rounds the weights, the inputs and the sum of a logit to 8 bits, so its relative error is at most
    e = 3 * 2^-9. Scaling the logits x by 1 + e changes a pixel's entropy by e * Var(log p), because
    dH(softmax(t x))/dt = -Var(log p) / t. The variance is at most log(C - 1)^2 / 4 + 1 (Reeb and Wolf, Tight
    Bound on Relative Entropy by Entropy Difference, 2015). Entropies here are divided by log C.
    The bound is of first order and covers the last layer only. The rounding errors of earlier layers differ
    between pixels and mostly cancel in the mean over an image.
    """
    spread = math.log(num_classes - 1) ** 2 / 4 + 1
    return 3 * 2.0**-9 * spread / math.log(num_classes)


def near_ties(split: pd.DataFrame, rule: str, num_classes: int) -> NDArray[np.bool_]:
    """Return which images of `split` could be easy in float32 and hard in bfloat16, or the reverse.

    split: the frame that `rank` returns, N rows; rule: the ranking rule of its scores. Returns (N,) bool.
    With an error of at most t in each score, an easy image can become hard only if its score is within 2 t of
    the lowest hard score, and a hard image can become easy only if its score is within 2 t of the highest
    easy score. All False where all images are easy or all are hard. Rare classes that appear or disappear
    by rounding are not taken into account.
    """
    scores, easy = split["score"].to_numpy(np.float64), (split["subset"] == EASY).to_numpy()
    if easy.all() or not easy.any():
        return np.zeros(len(split), np.bool_)
    reach = 2 * LARGEST_FACTOR[rule] * bf16_tolerance(num_classes)
    near: NDArray[np.bool_] = np.where(
        easy, scores >= scores[~easy].min() - reach, scores <= scores[easy].max() + reach
    )
    return near
