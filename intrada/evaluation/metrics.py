"""Confusion matrix and what is read from it. Numpy only; evaluation.py counts the same with torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrada.core.config.classes import IGNORE

Confusion = NDArray[np.int64]


def confusion_matrix(label: NDArray[Any], prediction: NDArray[Any], num_classes: int) -> Confusion:
    """Count the pixels of each (truth, prediction) pair.

    label, prediction: integers of one shape; label 0..C-1, or 255 which is not counted; prediction
    0..C-1 everywhere. Returns (C, C) int64, rows are the truth; matrices of several images add up.
    ValueError for other values and for different shapes: the published code bins an out-of-range
    prediction into another class without a word.
    """
    if label.shape != prediction.shape:
        raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
    counted = label != IGNORE
    _check_range("prediction", prediction, num_classes)
    _check_range("label", label[counted], num_classes)
    pair = label[counted].astype(np.int64) * num_classes + prediction[counted]
    counts = np.bincount(pair, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def _check_range(name: str, values: NDArray[Any], num_classes: int) -> None:
    if values.size and (int(values.min()) < 0 or int(values.max()) >= num_classes):
        found = np.unique(values[(values < 0) | (values >= num_classes)])[:5].tolist()
        raise ValueError(f"{name} holds {found}, outside 0..{num_classes - 1}")


def iou(confusion: Confusion) -> NDArray[np.float64]:
    """Intersection over union of each class, (C,) in 0..1; nan where truth and prediction lack it."""
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    ratio: NDArray[np.float64] = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
    return ratio


def miou(confusion: Confusion, only: Sequence[int] | None = None) -> float:
    """Mean IoU over the classes that occur, in 0..1; nan if none does.

    only: indices of the classes to average (13 of SYNTHIA's 16, say); the IoUs themselves still count
    the confusions with every class, as the published figures do.
    """
    values = iou(confusion) if only is None else iou(confusion)[list(only)]
    occurring = values[~np.isnan(values)]
    return float(occurring.mean()) if occurring.size else float("nan")


def pixel_accuracy(confusion: Confusion) -> float:
    """Share of the counted pixels that are right, in 0..1; nan if none was counted."""
    total = int(confusion.sum())
    return float(np.trace(confusion)) / total if total else float("nan")
