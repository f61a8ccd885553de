"""Quality of the labels predicted on the target's training images, for the report only.

This module reads target labels, which no other stage reads. No stage reads its results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.config.classes import IGNORE
from intrada.data.tables import EASY, HARD
from intrada.evaluation.metrics import Confusion, confusion_matrix, iou, miou, pixel_accuracy

NOTE = (
    "These numbers (percent) compare step 1's predictions with the labels of the target's training images. "
    "No other stage reads these labels, and training does not use them."
)
NO_LABELS = "No diagnosis: the target's training images have no labels. The method does not need them."


@dataclass(frozen=True)
class Comparison:
    """Confusion matrices of the labels predicted for one target image.

    subset: easy or hard; entropy: mean pixel entropy under step 1's model, 0..1; predicted: (C, C) int64,
    of step 1's prediction; pseudo: the same for the pixels that the pseudo-label keeps, None for a hard
    image, which has no pseudo-label.
    """

    subset: str
    entropy: float
    predicted: Confusion
    pseudo: Confusion | None


def compare(
    path: Path, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], num_classes: int
) -> Confusion:
    """Return the confusion matrix (C, C) int64 over the pixels where neither label is 255.

    truth, predicted: (H, W) uint8 class indices or 255. path: the file of `predicted`. Raises UserError,
    which names `path`, if the sizes differ or a class is outside 0..C-1.
    """
    allowed = f"(height, width) {truth.shape} as the truth, classes 0..{num_classes - 1}"
    if predicted.shape != truth.shape:
        raise files.unreadable(path, f"(height, width) {predicted.shape}", allowed)
    dropped = predicted == IGNORE
    try:
        return confusion_matrix(
            np.where(dropped, IGNORE, truth), np.where(dropped, 0, predicted), num_classes
        )
    except ValueError as error:
        raise files.unreadable(path, error, allowed) from error


def diagnose(images: Iterable[Comparison], num_classes: int) -> dict[str, Any]:
    """Return the diagnosis as a dict for JSON; None for a number that is undefined, as for an empty subset.

    easy, hard: the number of images, and the pixel_accuracy and mIoU of the predictions in percent.
    easy_minus_hard: the differences. spearman_entropy_mIoU: the rank correlation (-1..1) of the entropy and
    the mIoU of an image. pseudo_labels: pixels_kept (percent of the labelled easy pixels), and the
    pixel_accuracy and mIoU of these pixels in percent; by_class: for each class, in their order, the kept
    share of its predicted easy pixels, their precision and their IoU, in percent, labelled pixels only.
    """
    sums = {subset: np.zeros((num_classes, num_classes), np.int64) for subset in (EASY, HARD)}
    kept = np.zeros((num_classes, num_classes), np.int64)
    rows = []
    for image in images:
        sums[image.subset] += image.predicted
        if image.pseudo is not None:
            kept += image.pseudo
        rows.append((image.subset, image.entropy, miou(image.predicted)))
    table = pd.DataFrame(rows, columns=["subset", "entropy", "mIoU"])
    subsets = {
        subset: {"images": int((table["subset"] == subset).sum()), **_quality(sums[subset])}
        for subset in sums
    }
    correlation = table[["entropy", "mIoU"]].corr(method="spearman").to_numpy()[0, 1]
    return {
        "note": NOTE,
        **subsets,
        "easy_minus_hard": {key: _difference(subsets, key) for key in ("pixel_accuracy", "mIoU")},
        "spearman_entropy_mIoU": _number(correlation),
        "pseudo_labels": {
            "pixels_kept": _percentage(kept, sums[EASY]),
            **_quality(kept),
            "by_class": _by_class(kept, sums[EASY]),
        },
    }


def without_labels() -> dict[str, Any]:
    """Return the diagnosis of a target without labels: the keys of `diagnose`, all None except the note."""
    return {
        "note": NO_LABELS,
        "easy": None,
        "hard": None,
        "easy_minus_hard": None,
        "spearman_entropy_mIoU": None,
        "pseudo_labels": None,
    }


def _quality(confusion: Confusion) -> dict[str, float | None]:
    return {
        "pixel_accuracy": _number(100 * pixel_accuracy(confusion)),
        "mIoU": _number(100 * miou(confusion)),
    }


def _percentage(kept: Confusion, total: Confusion) -> float | None:
    return 100 * int(kept.sum()) / int(total.sum()) if total.any() else None


def _by_class(kept: Confusion, easy: Confusion) -> list[dict[str, float | None]]:
    """Return kept, precision and iou of each class. kept, easy: of the pseudo-labels, of all predictions."""

    def percent(part: int, whole: int) -> float | None:
        return 100 * part / whole if whole else None

    selected, predicted, ious = kept.sum(0), easy.sum(0), iou(kept)
    return [
        {
            "kept": percent(int(selected[index]), int(predicted[index])),
            "precision": percent(int(kept[index, index]), int(selected[index])),
            "iou": _number(100 * ious[index]),
        }
        for index in range(len(kept))
    ]


def _difference(subsets: dict[str, dict[str, Any]], key: str) -> float | None:
    easy, hard = subsets[EASY][key], subsets[HARD][key]
    return None if easy is None or hard is None else easy - hard


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
