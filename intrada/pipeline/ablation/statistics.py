"""Statistics over a few seeds: paired differences and their confidence interval."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
from scipy import stats

CONFIDENCE = 0.95


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
