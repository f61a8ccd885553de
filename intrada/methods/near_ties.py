"""Which images lie so near to the cut between easy and hard that bfloat16 may put them on the other side."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.data.tables import EASY

# rule -> what it multiplies an entropy by at most
LARGEST_FACTOR = {"mean_entropy": 1.0, "published_normalized": 1.5, "paper_normalized": 1.0}


def bf16_tolerance(num_classes: int) -> float:
    """How far bfloat16 may move the entropy (0..1) of an image: 0.0061 with 19 classes.

    A logit whose weights, inputs and sum are each rounded to 8 bits is off by up to e = 3 * 2^-9 of itself.
    Logits x grown by e change a pixel's entropy by e * Var(log p), for dH(softmax(t x))/dt = -Var(log p) / t;
    the variance is at most log(C - 1)^2 / 4 + 1 (Reeb and Wolf, Tight Bound on Relative Entropy by Entropy
    Difference, 2015), and entropies here are divided by log C. To first order, and of the last layer: what
    the layers before it round differs from pixel to pixel, and the mean over an image hides most of it.
    """
    spread = math.log(num_classes - 1) ** 2 / 4 + 1
    return 3 * 2.0**-9 * spread / math.log(num_classes)


def near_ties(split: pd.DataFrame, rule: str, num_classes: int) -> NDArray[np.bool_]:
    """(N,): which images of `split` could be easy in float32 and hard in bfloat16, or the reverse.

    split: as `rank` returns it. With scores off by up to t, an easy image can only change places with a hard
    one if it lies within 2 t of the surest hard one, and a hard image if it is as near to the least sure
    easy one. None where all are easy or all hard. Rare classes that rounding finds or loses are not foreseen.
    """
    scores, easy = split["score"].to_numpy(np.float64), (split["subset"] == EASY).to_numpy()
    if easy.all() or not easy.any():
        return np.zeros(len(split), np.bool_)
    reach = 2 * LARGEST_FACTOR[rule] * bf16_tolerance(num_classes)
    near: NDArray[np.bool_] = np.where(
        easy, scores >= scores[~easy].min() - reach, scores <= scores[easy].max() + reach
    )
    return near
