"""Select a snapshot of a training run, with or without labels.

last: the end of training.

label_free: the best value of CRITERION, one of CRITERIA (criteria.py), none of which reads a label of the
target domain.

oracle: the highest mIoU on the evaluation labels, as in the published code. Its mIoU is reported on the
labels that selected it, so it is shown for comparison only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LAST, LABEL_FREE, ORACLE = "last", "label_free", "oracle"
RULES = (LAST, LABEL_FREE, ORACLE)
# column of snapshots.csv -> 1 if its highest value is the best, -1 if its lowest is
CRITERIA = {
    "mean_entropy": -1,
    "information": 1,
    "nuclear_norm": 1,
    "neighbourhood_density": 1,
    "flip_agreement": 1,
    "mean_agreement": 1,
    "source_mIoU": 1,
    "estimated_accuracy": 1,
}
PERCENT = ("source_mIoU", "estimated_accuracy")  # in percent; the others are in 0..1
# The criterion of label_free: that of all earlier versions. On three trainings on the toy city, none was
# better than the last snapshot on all (docs/how-to/selection.md).
CRITERION = "information"


def choose(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column for each of RULES: 1 in the row that the rule chooses, else 0.

    snapshots: the columns iteration (ascending), CRITERION and mIoU. Without labels mIoU is nan, and the
    oracle chooses no row. Of equal values the last is chosen, since it was trained longer.
    """
    chosen = {
        LAST: len(snapshots) - 1,
        LABEL_FREE: best(snapshots, CRITERION),
        ORACLE: _last_maximum(snapshots["mIoU"]),
    }
    rows = np.arange(len(snapshots))
    return snapshots.assign(**{rule: (rows == row).astype(int) for rule, row in chosen.items()})


def best(snapshots: pd.DataFrame, criterion: str) -> int:
    """Return the row that one of CRITERIA chooses, of equal ones the last; -1 if all its values are nan."""
    return _last_maximum(CRITERIA[criterion] * snapshots[criterion])


def even_sample(count: int, limit: int) -> NDArray[np.int64]:
    """Return up to `limit` of the rows 0..count-1, evenly spaced, with the first and the last (limit > 1)."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.int64))


def _last_maximum(values: pd.Series) -> int:
    """Return the last row with the highest value; -1 if all values are nan."""
    numbers = values.to_numpy(np.float64)
    return -1 if np.isnan(numbers).all() else int(np.flatnonzero(numbers == np.nanmax(numbers))[-1])
