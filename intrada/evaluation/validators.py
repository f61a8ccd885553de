"""Select a snapshot of a training run, with or without labels.

last: the end of training.

label_free: the highest mutual information between a target pixel and its predicted class,
`H(mean p) - mean H(p)`. It is high if each pixel is predicted with high confidence and the predicted
classes differ. This is the objective of information maximisation (Bridle et al., NIPS 1991; Shi and Sha,
ICML 2012), used here as a validator.

oracle: the highest mIoU on the evaluation labels, as in the published code. Its mIoU is reported on the
labels that selected it, so it is shown for comparison only.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LAST, LABEL_FREE, ORACLE = "last", "label_free", "oracle"
RULES = (LAST, LABEL_FREE, ORACLE)


def mutual_information(mean_probability: NDArray[np.float64], mean_entropy: float) -> float:
    """Return the mutual information of a pixel and its predicted class, 0..1 (in units of log C).

    mean_probability: (C,), the mean softmax of all pixels; mean_entropy: their mean entropy, 0..1.
    """
    present = mean_probability[mean_probability > 0]
    marginal = -float((present * np.log(present)).sum()) / math.log(len(mean_probability))
    return max(0.0, marginal - mean_entropy)


def choose(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column for each of RULES: 1 in the row that the rule chooses, else 0.

    snapshots: the columns iteration (ascending), information and mIoU. Without labels mIoU is nan, and the
    oracle chooses no row. Of equal values the last is chosen, since it was trained longer.
    """
    chosen = {
        LAST: len(snapshots) - 1,
        LABEL_FREE: _last_maximum(snapshots["information"]),
        ORACLE: _last_maximum(snapshots["mIoU"]),
    }
    rows = np.arange(len(snapshots))
    return snapshots.assign(**{rule: (rows == row).astype(int) for rule, row in chosen.items()})


def even_sample(count: int, limit: int) -> NDArray[np.int64]:
    """Return up to `limit` of the rows 0..count-1, evenly spaced, with the first and the last (limit > 1)."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64))


def _last_maximum(values: pd.Series) -> int:
    """Return the last row with the highest value; -1 if all values are nan."""
    numbers = values.to_numpy(np.float64)
    return -1 if np.isnan(numbers).all() else int(np.flatnonzero(numbers == np.nanmax(numbers))[-1])
