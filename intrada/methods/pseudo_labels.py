"""Pseudo-labels: the model's own prediction, where it is sure enough, taken for the truth.

Source: IntraDA (CVPR 2020), section 3.3, which keeps every pixel (threshold 0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrada.core.config.classes import IGNORE
from intrada.core.errors import UserError


def confidence_bytes(probability: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Probability of the predicted class, 0..1, as the bytes of a confidence map: 255 means 1.

    Rounded down, so that a stored map never claims more than the model did.
    """
    stored: NDArray[np.uint8] = np.floor(probability * 255.0).astype(np.uint8)
    return stored


def class_thresholds(counts: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """The confidence that the surest `share` (0..1, above 0) of each class's pixels reach: (C,), in 0..1.

    counts (C, 256) int64: pixels by predicted class and byte of confidence. Of equally sure pixels all are
    kept, so that at least `share` is. Half a byte below what they reach, so that rounding loses none; 0
    for a class without a pixel.
    Source: class-balanced self-training (Zou et al., ECCV 2018), section 4.2, for one round.
    """
    surer = counts[:, ::-1].cumsum(1)[:, ::-1]  # pixels at least as sure
    enough = surer >= share * counts.sum(1, keepdims=True)
    reached = np.where(counts.any(1), 255 - enough[:, ::-1].argmax(1), 0)
    thresholds: NDArray[np.float64] = np.maximum(reached - 0.5, 0.0) / 255.0
    return thresholds


def select(
    prediction: NDArray[np.uint8],
    confidence: NDArray[Any],
    threshold: float,
    of_class: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Keep the pixels whose confidence is at least `threshold`; 255 (ignored) elsewhere.

    prediction (H, W) uint8: class indices; confidence (H, W): uint8 as confidence_bytes makes it, or
    floats in 0..1; threshold 0..1, where 0 keeps everything; of_class (C,): thresholds of each predicted
    class, which must be reached as well. Returns (H, W) uint8.
    UserError for a threshold outside 0..1 or nan, ValueError for different shapes.
    """
    if not 0 <= threshold <= 1:  # false for nan too
        raise UserError(
            "pseudo_label.min_confidence", str(threshold), "0 (keep all) to 1", "0 is the paper's"
        )
    if prediction.shape != confidence.shape:
        raise ValueError(f"prediction {prediction.shape} and confidence {confidence.shape} differ in shape")
    scale = 255.0 if confidence.dtype == np.uint8 else 1.0
    least = threshold if of_class is None else np.maximum(threshold, of_class[prediction])
    return np.where(confidence >= least * scale, prediction, IGNORE).astype(np.uint8)
