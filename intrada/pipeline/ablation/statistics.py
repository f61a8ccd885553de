"""Statistics over a few seeds: paired differences, their intervals, and corrected p-values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
DRAWS = 2000  # of a bootstrap
_SEED = 20200416  # of the draws, so that a table is the same when it is written again
_TAILS = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))  # percentiles


class Interval(NamedTuple):
    """low, high: nan where there is too little to draw from."""

    low: float
    high: float


class Difference(NamedTuple):
    """The mean difference of a recipe from the control, and its interval; low, high: nan for one seed."""

    mean: float
    low: float
    high: float


def paired(values: pd.Series, control: pd.Series) -> Difference:
    """Return the mean of the differences by seed, with Student's interval (n - 1 degrees of freedom).

    Both series are indexed by the same seeds. The interval is for one comparison, without a correction for
    multiple comparisons.
    """
    difference = (values - control).to_numpy(float)
    mean = float(difference.mean())
    if len(difference) < 2:
        return Difference(mean, float("nan"), float("nan"))
    error = float(stats.sem(difference))
    if error == 0:  # the same difference on every seed: the distribution is a point
        return Difference(mean, mean, mean)
    low, high = stats.t.interval(CONFIDENCE, len(difference) - 1, loc=mean, scale=error)
    return Difference(mean, float(low), float(high))


def p_value(values: pd.Series, control: pd.Series) -> float:
    """Return the two-sided p of Student's paired test, 0..1; nan for one seed.

    If all differences are equal, it is 1 for 0 and 0 else.
    """
    difference = (values - control).to_numpy(float)
    if len(difference) > 1 and np.ptp(difference) == 0:
        return float(difference[0] == 0)
    return float(stats.ttest_1samp(difference, 0).pvalue) if len(difference) > 1 else float("nan")


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values corrected for their number (Holm, 1979), in the order of `p`; nan stays nan.

    The k-th smallest of m is multiplied by m - k + 1, and is at least the one before it and at most 1.
    """
    order = sorted((name for name in p if p[name] == p[name]), key=lambda name: p[name])
    corrected, least = dict(p), 0.0
    for number, name in enumerate(order):
        least = corrected[name] = max(least, min(1.0, (len(order) - number) * p[name]))
    return corrected


def over_seeds(values: pd.Series, control: pd.Series) -> Interval:
    """Return the bootstrap interval (percentiles) of the mean difference, drawing seeds with replacement."""
    difference = (values - control).to_numpy(float)
    if len(difference) < 2:
        return Interval(float("nan"), float("nan"))
    draws = np.random.default_rng(_SEED).integers(len(difference), size=(DRAWS, len(difference)))
    return Interval(*np.percentile(difference[draws].mean(1), _TAILS))


def over_images(counts: NDArray[np.int64], control: NDArray[np.int64]) -> Interval:
    """Return the bootstrap interval of the mean difference of mIoU, drawing images with replacement.

    counts, control: (seeds, images, classes, 3): pixels of the label, of the prediction, and of both. Each
    draw has the same images for both and for all seeds. In percentage points.
    """
    images = counts.shape[1]
    draws = np.random.default_rng(_SEED).multinomial(images, np.full(images, 1 / images), size=DRAWS)
    differences = _miou(draws, counts) - _miou(draws, control)
    return Interval(*np.percentile(differences.mean(1), _TAILS))


def _miou(draws: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return mIoU in percent, (draws, seeds): of the classes that occur, as `metrics.miou` does.

    draws: (draws, images), how often each image was drawn.
    """
    sums = np.tensordot(draws.astype(float), counts.astype(float), axes=(1, 1))  # (draws, seeds, classes, 3)
    truth, predicted, hits = np.moveaxis(sums, -1, 0)
    union = truth + predicted - hits
    iou = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
    mean: NDArray[np.float64] = 100 * np.nanmean(iou, axis=-1)
    return mean
