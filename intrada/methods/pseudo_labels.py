"""Pseudo-labels: the model's predictions, used as labels where their confidence reaches a threshold.

Source: IntraDA (CVPR 2020), section 3.3, which keeps every pixel (threshold 0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrada.core.config.classes import IGNORE
from intrada.core.errors import UserError


def confidence_bytes(probability: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Convert probabilities of the predicted class, in 0..1, to a uint8 confidence map, where 255 means 1.

    Values are rounded down, so that a stored confidence never exceeds the model's. Returns the same shape.
    """
    stored: NDArray[np.uint8] = np.floor(probability * 255.0).astype(np.uint8)
    return stored


def class_thresholds(counts: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """Return the threshold of each class that keeps the `share` of its pixels with the highest confidence.

    counts (C, 256) int64: pixels by predicted class and byte of confidence; share: above 0, at most 1.
    Returns (C,) in 0..1; 0 for a class without a pixel. Pixels of equal confidence are kept or dropped
    together, so that at least `share` of the pixels is kept. The threshold is half a byte below the lowest
    confidence that is kept, so that rounding drops no pixel.
    Source: class-balanced self-training (Zou et al., ECCV 2018), section 4.2, for one round.
    """
    at_least = counts[:, ::-1].cumsum(1)[:, ::-1]  # pixels of this or a higher confidence
    enough = at_least >= share * counts.sum(1, keepdims=True)
    lowest_kept = np.where(counts.any(1), 255 - enough[:, ::-1].argmax(1), 0)
    thresholds: NDArray[np.float64] = np.maximum(lowest_kept - 0.5, 0.0) / 255.0
    return thresholds


def select(
    prediction: NDArray[np.uint8],
    confidence: NDArray[Any],
    threshold: float,
    of_class: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Keep the predictions with a confidence of at least `threshold`; set all others to 255 (ignored).

    prediction (H, W) uint8: class indices; confidence (H, W): uint8 as returned by confidence_bytes, or
    floats in 0..1; threshold: 0..1, where 0 keeps all pixels; of_class (C,): a second threshold for each
    predicted class, in 0..1. Returns (H, W) uint8.
    Raises UserError for a threshold outside 0..1 or nan, ValueError for different shapes.
    """
    if not 0 <= threshold <= 1:  # also refuses nan
        raise UserError(
            "pseudo_label.min_confidence", str(threshold), "0 (keep all) to 1", "the paper uses 0"
        )
    if prediction.shape != confidence.shape:
        raise ValueError(f"prediction {prediction.shape} and confidence {confidence.shape} differ in shape")
    scale = 255.0 if confidence.dtype == np.uint8 else 1.0
    least = threshold if of_class is None else np.maximum(threshold, of_class[prediction])
    return np.where(confidence >= least * scale, prediction, IGNORE).astype(np.uint8)
