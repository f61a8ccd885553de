"""Item f_eval: confusion matrix, IoU and mIoU on the validation images, at several output sizes."""

from __future__ import annotations

import numpy as np

from intrada.evaluation.metrics import Confusion, confusion_matrix, iou, miou
from tests.support.parity_items.comparing import Comparison, absolute
from tests.support.parity_items.predictions import logits_of, upsampled, within_rounding
from tests.support.parity_items.reference import PRECISIONS, Reference

INPUTS: frozenset[str] = frozenset()


def compute(reference: Reference, name: str) -> dict[str, Confusion]:
    """Return the confusion matrices by key: "320x160_f32", "320x160_f64", and "320x160_ties" of `_ties`."""
    classes = len(reference.classes)
    sizes = [(int(width), int(height)) for width, height in reference.setting["eval_output_sizes"]]
    keys = [f"{width}x{height}_{kind}" for width, height in sizes for kind in ("f32", "f64", "ties")]
    actual = {key: np.zeros((classes, classes), np.int64) for key in keys}
    for precision, dtype in PRECISIONS.items():
        segmenter = reference.segmenter(dtype)
        for i in range(len(reference.names("val"))):
            logits = logits_of(reference, segmenter, "val", i, "eval_input_size")
            for width, height in sizes:
                label = reference.label("val", i, (width, height))
                large = upsampled(logits, (width, height))
                actual[f"{width}x{height}_{precision}"] += confusion_matrix(
                    label, large.argmax(1)[0].numpy(), classes
                )
                if precision == "f64":
                    actual[f"{width}x{height}_ties"] += _ties(label, within_rounding(reference, large))
    return actual


def _ties(label: np.ndarray, near: np.ndarray) -> Confusion:
    """Count, by true and predicted class (C, C), the pixels whose argmax float32 rounding may change."""
    ties = np.zeros((len(near), len(near)), np.int64)
    tied = near & (near.sum(0) > 1)
    for predicted in range(len(near)):
        truth, counts = np.unique(label[tied[predicted] & (label != 255)], return_counts=True)
        ties[truth, predicted] += counts
    return ties


def _max_change(ties: Confusion, matrix: Confusion) -> np.ndarray:
    """Return (C,): how much the tied pixels can change the IoU of each class; 0 without pixels."""
    pixels = ties.sum(0) + ties.sum(1)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return pixels / np.maximum(union, 1)


def compare(reference: Reference, name: str, actual: dict[str, Confusion]) -> list[Comparison]:
    comparisons = []
    tolerance = reference.tolerance("miou_abs")
    for key, expected in reference.stored(name).items():
        size, precision = key.rsplit("_", 1)
        allowed = actual[f"{size}_ties"] if precision == "f32" else 0
        comparisons.append(absolute([key, "hist"], actual[key], expected["hist"], allowed))
        tie_error = _max_change(allowed, actual[key]) if precision == "f32" else np.zeros(len(actual[key]))
        # The stored matrix must also give the stored IoU, without an allowance for ties.
        for matrix, error in (
            (actual[key], tie_error),
            (np.asarray(expected["hist"], np.int64), 0 * tie_error),
        ):
            comparisons.append(absolute([key, "iu"], iou(matrix), expected["iu"], tolerance + error))
            comparisons.append(
                absolute([key, "miou"], miou(matrix), expected["miou"], tolerance + error.mean())
            )
    return comparisons
