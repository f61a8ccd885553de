"""Which snapshot of a run is its model, with and without labels.

last: the end of training. label_free: the highest mutual information between a target pixel and its
predicted class, `H(mean p) - mean H(p)`: sure of each pixel, and not of the same class everywhere. It is
the objective of information maximisation (Bridle et al., NIPS 1991; Shi and Sha, ICML 2012), used here as
a validator. oracle: the highest mIoU on the evaluation labels, as the published code chose; it selects on
the very labels that its number is reported on, and is shown for comparison.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LAST, LABEL_FREE, ORACLE = "last", "label_free", "oracle"
RULES = (LAST, LABEL_FREE, ORACLE)


def information(mean_probability: NDArray[np.float64], mean_entropy: float) -> float:
    """Mutual information of pixel and predicted class, 0..1 (in units of log C).

    mean_probability (C,): the softmax averaged over all pixels; mean_entropy: that of the pixels, 0..1.
    """
    present = mean_probability[mean_probability > 0]
    marginal = -float((present * np.log(present)).sum()) / math.log(len(mean_probability))
    return max(0.0, marginal - mean_entropy)


def choose(snapshots: pd.DataFrame) -> pd.DataFrame:
    """The table with a column for each of RULES: 1 in the row that it chooses, 0 in the others.

    snapshots: iteration (ascending), information, mIoU (nan without labels: then the oracle chooses
    none). Of equals the later one is chosen, which was trained longer.
    """
    rows = {
        LAST: len(snapshots) - 1,
        LABEL_FREE: _last_maximum(snapshots["information"]),
        ORACLE: _last_maximum(snapshots["mIoU"]),
    }
    places = np.arange(len(snapshots))
    return snapshots.assign(**{rule: (places == row).astype(int) for rule, row in rows.items()})


def even_sample(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` of the rows 0..count-1, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _last_maximum(values: pd.Series) -> int:
    """The row of the highest value, the last of equals; -1 where all are nan."""
    known = values.to_numpy(np.float64)
    return -1 if np.isnan(known).all() else int(np.flatnonzero(known == np.nanmax(known))[-1])
