"""Tables in the form that `dvc plots` draws: one row per point, with its series in a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from intrada.evaluation.findings import Evaluation


def tables(
    evaluations: Mapping[str, Evaluation], snapshots: Mapping[str, pd.DataFrame], classes: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Return the tables by name: iou, confusion, miou and information; without labels only the last has rows.

    snapshots: model -> snapshots.csv.
    """
    return {
        "iou": _iou(evaluations),
        "confusion": _confusion(evaluations, classes),
        "miou": _snapshots(snapshots, "mIoU"),
        "information": _snapshots(snapshots, "information"),
    }


def _iou(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Return class, model, iou in percent, without classes that occur neither in labels nor predictions."""
    parts = [found.classes[["class", "iou"]].assign(model=name) for name, found in evaluations.items()]
    return pd.concat(parts).dropna()[["class", "model", "iou"]]


def _confusion(evaluations: Mapping[str, Evaluation], classes: Sequence[str]) -> pd.DataFrame:
    """Return model, truth, predicted, percent of the pixels of the true class, without empty rows."""
    parts = []
    for name, found in evaluations.items():
        totals = found.confusion.sum(1, keepdims=True)
        percent = 100 * found.confusion / np.maximum(totals, 1)
        for row in np.flatnonzero(totals):
            cells = {"truth": classes[int(row)], "predicted": classes, "percent": percent[row]}
            parts.append(pd.DataFrame({"model": name, **cells}))
    columns = ["model", "truth", "predicted", "percent"]
    return pd.concat(parts) if parts else pd.DataFrame(columns=columns)


def _snapshots(snapshots: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Return model, iteration and one column of snapshots.csv, without rows in which it is unknown."""
    parts = [table[["iteration", column]].assign(model=name) for name, table in snapshots.items()]
    return pd.concat(parts).dropna()[["model", "iteration", column]]
