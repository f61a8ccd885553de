"""Confusion matrix, IoU and pixel accuracy in numpy. evaluator.py computes the same matrix with torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrada.core.config.classes import IGNORE

Confusion = NDArray[np.int64]


def confusion_matrix(label: NDArray[Any], prediction: NDArray[Any], num_classes: int) -> Confusion:
    """Count the pixels of each (truth, prediction) pair.

    label, prediction: integer arrays of the same shape. label: 0..C-1, or 255, which is not counted.
    prediction: 0..C-1. Returns (C, C) int64; rows are the truth. The matrices of several images can be
    added. Raises ValueError for other values and for different shapes. (The published code silently counts
    an out-of-range prediction for another class.)
    """
    if label.shape != prediction.shape:
        raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
    labelled = label != IGNORE
    _check_range("prediction", prediction, num_classes)
    _check_range("label", label[labelled], num_classes)
    pairs = label[labelled].astype(np.int64) * num_classes + prediction[labelled]
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def _check_range(name: str, values: NDArray[Any], num_classes: int) -> None:
    if values.size and (int(values.min()) < 0 or int(values.max()) >= num_classes):
        invalid = np.unique(values[(values < 0) | (values >= num_classes)])[:5].tolist()
        raise ValueError(f"{name} holds {invalid}, outside 0..{num_classes - 1}")


def iou(confusion: Confusion) -> NDArray[np.float64]:
    """Return the intersection over union, (C,) in 0..1; nan for a class in neither label nor prediction."""
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    ratio: NDArray[np.float64] = np.divide(hits, union, out=np.full_like(hits, np.nan), where=union > 0)
    return ratio


def miou(confusion: Confusion, only: Sequence[int] | None = None) -> float:
    """Return the mean IoU, in 0..1, of the classes that occur; nan if none occurs.

    only: indices of the classes to average, such as 13 of the 16 classes of SYNTHIA. The IoU of each class
    still counts its confusions with all classes, as in the published tables.
    """
    values = iou(confusion) if only is None else iou(confusion)[list(only)]
    occurring = values[~np.isnan(values)]
    return float(occurring.mean()) if occurring.size else float("nan")


def pixel_accuracy(confusion: Confusion) -> float:
    """Return the fraction of labelled pixels with the correct class, 0..1; nan without labelled pixels."""
    total = int(confusion.sum())
    return float(np.trace(confusion)) / total if total else float("nan")
