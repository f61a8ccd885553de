"""Pseudo-labels: the model's own prediction, where it is sure enough, taken for the truth.

Source: IntraDA (CVPR 2020), section 3.3, which keeps every pixel (threshold 0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intrada.errors import UserError
from intrada.labels import IGNORE


def confidence_bytes(probability: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Probability of the predicted class, 0..1, as the bytes of a confidence map: 255 means 1.

    Rounded down, so that a stored map never claims more than the model did.
    """
    stored: NDArray[np.uint8] = np.floor(probability * 255.0).astype(np.uint8)
    return stored


def select(prediction: NDArray[np.uint8], confidence: NDArray[Any], threshold: float) -> NDArray[np.uint8]:
    """Keep the pixels whose confidence is at least `threshold`; 255 (ignored) elsewhere.

    prediction (H, W) uint8: class indices; confidence (H, W): uint8 as confidence_bytes makes it, or
    floats in 0..1; threshold 0..1, where 0 keeps everything. Returns (H, W) uint8.
    UserError for a threshold outside 0..1 or nan, ValueError for different shapes.
    """
    if not 0 <= threshold <= 1:  # false for nan too
        raise UserError(
            "pseudo_label.min_confidence", str(threshold), "0 (keep all) to 1", "0 is the paper's"
        )
    if prediction.shape != confidence.shape:
        raise ValueError(f"prediction {prediction.shape} and confidence {confidence.shape} differ in shape")
    scale = 255.0 if confidence.dtype == np.uint8 else 1.0
    return np.where(confidence >= threshold * scale, prediction, IGNORE).astype(np.uint8)
