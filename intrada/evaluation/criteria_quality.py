"""How well the criteria order and choose the snapshots of a training, which only labels can tell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from intrada.evaluation import validators

COLUMNS = ["model", "criterion", "chosen", "correlation", "regret"]
FEWEST = 3  # snapshots for a correlation: of two it is 1 or -1


def table(snapshots: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each model and each of validators.CRITERIA: COLUMNS.

    snapshots: model -> snapshots.csv. chosen: the iteration of the snapshot that the criterion chooses, 0 if
    it has no value; correlation: Spearman's, of the criterion and mIoU over the snapshots, 1 if the better
    snapshots have the better values; regret: the best mIoU minus that of the chosen snapshot, percentage
    points. Both are nan without labels.
    """
    rows = [
        (model, criterion, *_row(frame, criterion))
        for model, frame in snapshots.items()
        for criterion in validators.CRITERIA
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(frame: pd.DataFrame, criterion: str) -> tuple[int, float, float]:
    """Return the chosen iteration, the correlation and the regret of one criterion of one training."""
    row = validators.best(frame, criterion)
    if row < 0:
        return 0, np.nan, np.nan
    chosen = frame.iloc[row]
    regret = float(frame["mIoU"].max() - chosen["mIoU"])
    return int(chosen["iteration"]), _correlation(frame, criterion), regret


def _correlation(frame: pd.DataFrame, criterion: str) -> float:
    known = frame[[criterion, "mIoU"]].dropna()
    if len(known) < FEWEST:
        return np.nan
    spearman = float(known.corr(method="spearman").to_numpy()[0, 1])
    return validators.CRITERIA[criterion] * float(np.clip(spearman, -1, 1))  # rounding can exceed 1
