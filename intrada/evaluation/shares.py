"""Shares of the classes: which classes a model no longer predicts, and which pseudo-labels leave out.

All shares are fractions of the same whole or percentages; only their ratios count here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A class is starved, or vanished, if its share is below this fraction of what it was.
STARVED = 0.25
VANISHED = 0.1
RARE = 0.001  # a class with a smaller share before is not judged: a few images decide about it


def normalised(counts: ArrayLike) -> NDArray[np.float64]:
    """Return counts (C,) as shares with sum 1; nan everywhere if all counts are 0."""
    values = np.asarray(counts, np.float64)
    total = values.sum()
    return values / total if total else np.full_like(values, np.nan)


def starved(predicted: ArrayLike, kept: ArrayLike) -> list[int]:
    """Return the classes whose share in the pseudo-labels is far below their share in the predictions.

    predicted: (C,) pixels predicted on all target images; kept: (C,) pixels of the pseudo-labels.
    """
    return _below(predicted, kept, STARVED)


def vanished(before: ArrayLike, after: ArrayLike) -> list[int]:
    """Return the classes that `after` hardly predicts any more.

    before: (C,) pixels of the reference: of the labels, or of the model before adaptation on the same images.
    """
    return _below(before, after, VANISHED)


def _below(reference: ArrayLike, counts: ArrayLike, fraction: float) -> list[int]:
    usual, found = normalised(reference), normalised(counts)
    return [int(index) for index in np.flatnonzero((usual >= RARE) & (found < fraction * usual))]


def effective_classes(counts: ArrayLike) -> float:
    """Return the effective number of classes, 1..C: exp of the entropy of the shares; nan without pixels.

    It is C if all classes have equal shares, and falls towards 1 when a model predicts one class only.
    """
    shares = normalised(counts)
    present = shares[shares > 0]
    return float(np.exp(-(present * np.log(present)).sum())) if present.size else float("nan")
