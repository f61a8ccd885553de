"""What a few seeds say: mean, deviation, and paired differences with their confidence interval."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from scipy import stats

CONFIDENCE = 0.95


class Difference(NamedTuple):
    """A recipe minus the control, over the seeds that both have; low and high: nan for a single seed."""

    mean: float
    low: float
    high: float


def paired(values: pd.Series, control: pd.Series) -> Difference:
    """The mean of the differences, seed by seed, and Student's interval of it (n - 1 degrees of freedom).

    Both are indexed by seed and must have the same ones; an interval for each comparison alone, not
    corrected for their number.
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
