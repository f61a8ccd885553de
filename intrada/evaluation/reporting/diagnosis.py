"""How right the predicted labels of the target's training images are: for understanding a run alone.

It looks at target labels, which no other stage reads; nothing of it flows back into the method.
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
from intrada.evaluation.metrics import Confusion, confusion_matrix, miou, pixel_accuracy

NOTE = (
    "A diagnosis: it compares step 1's predictions with the target's training labels, "
    "which no other stage reads and which the method never sees. Numbers are percent."
)
NO_LABELS = "No diagnosis: the target's training images have no labels, and the method needs none."


@dataclass(frozen=True)
class Seen:
    """What the truth says of one target image.

    subset: easy or hard; entropy: of step 1's model, 0..1; predicted: (C, C) confusion of its prediction;
    pseudo: the same over the pixels that the pseudo-labels kept, None where there are none (hard).
    """

    subset: str
    entropy: float
    predicted: Confusion
    pseudo: Confusion | None


def compare(
    path: Path, truth: NDArray[np.uint8], domain_bce: NDArray[np.uint8], num_classes: int
) -> Confusion:
    """(C, C) int64 confusion of (H, W) class indices where neither is 255 (dropped by the pseudo-labels).

    path: of `called`, named in the UserError for another size than the truth's or classes beyond C.
    """
    allowed = f"(height, width) {truth.shape} as the truth, classes 0..{num_classes - 1}"
    if domain_bce.shape != truth.shape:
        raise files.unreadable(path, f"(height, width) {domain_bce.shape}", allowed)
    dropped = domain_bce == IGNORE
    try:
        return confusion_matrix(
            np.where(dropped, IGNORE, truth), np.where(dropped, 0, domain_bce), num_classes
        )
    except ValueError as error:
        raise files.unreadable(path, error, allowed) from error


def diagnose(images: Iterable[Seen], num_classes: int) -> dict[str, Any]:
    """Flat enough for JSON; None where nothing can be said, as for an empty subset.

    easy, hard: images, pixel_accuracy and mIoU of the predictions, percent; easy_minus_hard: the
    differences; spearman_entropy_mIoU: rank correlation (-1..1) of image entropy with image mIoU;
    pseudo_labels: share of the labelled easy pixels that were kept, accuracy and mIoU of those.
    """
    sums = {subset: np.zeros((num_classes, num_classes), np.int64) for subset in (EASY, HARD)}
    kept = np.zeros((num_classes, num_classes), np.int64)
    rows = []
    for seen in images:
        sums[seen.subset] += seen.predicted
        if seen.pseudo is not None:
            kept += seen.pseudo
        rows.append((seen.subset, seen.entropy, miou(seen.predicted)))
    table = pd.DataFrame(rows, columns=["subset", "entropy", "mIoU"])
    subsets = {
        subset: {"images": int((table["subset"] == subset).sum()), **_right(sums[subset])} for subset in sums
    }
    correlation = table[["entropy", "mIoU"]].corr(method="spearman").to_numpy()[0, 1]
    return {
        "note": NOTE,
        **subsets,
        "easy_minus_hard": {key: _difference(subsets, key) for key in ("pixel_accuracy", "mIoU")},
        "spearman_entropy_mIoU": _number(correlation),
        "pseudo_labels": {"pixels_kept": _share(kept, sums[EASY]), **_right(kept)},
    }


def absent() -> dict[str, Any]:
    """The diagnosis of a target without labels: a sentence and the same keys, empty."""
    return {
        "note": NO_LABELS,
        "easy": None,
        "hard": None,
        "easy_minus_hard": None,
        "spearman_entropy_mIoU": None,
        "pseudo_labels": None,
    }


def _right(confusion: Confusion) -> dict[str, float | None]:
    return {
        "pixel_accuracy": _number(100 * pixel_accuracy(confusion)),
        "mIoU": _number(100 * miou(confusion)),
    }


def _share(subset: Confusion, whole: Confusion) -> float | None:
    return 100 * int(subset.sum()) / int(whole.sum()) if whole.any() else None


def _difference(subsets: dict[str, dict[str, Any]], key: str) -> float | None:
    easy, hard = subsets[EASY][key], subsets[HARD][key]
    return None if easy is None or hard is None else easy - hard


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
