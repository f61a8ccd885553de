"""Item f_eval: confusion matrix, IoU and mIoU on the validation images, at several output sizes."""

from __future__ import annotations

import numpy as np

from intrada.evaluation.metrics import Confusion, confusion_matrix, iou, miou
from tests.support.parity_items.comparing import Comparison, absolute
from tests.support.parity_items.predictions import enlarged, logits_of, within_rounding
from tests.support.parity_items.reference import PRECISIONS, Reference

INPUTS: frozenset[str] = frozenset()


def compute(reference: Reference, name: str) -> dict[str, Confusion]:
    """Confusion by "320x160_f32" and so on; "320x160_ties": how often float32's rounding may move a pixel."""
    classes = len(reference.classes)
    sizes = [(int(width), int(height)) for width, height in reference.setting["eval_output_sizes"]]
    keys = [f"{width}x{height}_{kind}" for width, height in sizes for kind in ("f32", "f64", "ties")]
    found = {key: np.zeros((classes, classes), np.int64) for key in keys}
    for precision, dtype in PRECISIONS.items():
        segmenter = reference.segmenter(dtype)
        for i in range(len(reference.names("val"))):
            logits = logits_of(reference, segmenter, "val", i, "eval_input_size")
            for width, height in sizes:
                label = reference.label("val", i, (width, height))
                large = enlarged(logits, (width, height))
                found[f"{width}x{height}_{precision}"] += confusion_matrix(
                    label, large.argmax(1)[0].numpy(), classes
                )
                if precision == "f64":
                    found[f"{width}x{height}_ties"] += _ties(label, within_rounding(reference, large))
    return found


def _ties(label: np.ndarray, near: np.ndarray) -> Confusion:
    """(C, C): pixels of each class whose prediction is within rounding of another one."""
    ties = np.zeros((len(near), len(near)), np.int64)
    tied = near & (near.sum(0) > 1)
    for domain_bce in range(len(near)):
        truth, counts = np.unique(label[tied[domain_bce] & (label != 255)], return_counts=True)
        ties[truth, domain_bce] += counts
    return ties


def _moved_by(ties: Confusion, matrix: Confusion) -> np.ndarray:
    """(C,): how far the tied pixels could move each class's IoU; 0 for a class without pixels."""
    pixels = ties.sum(0) + ties.sum(1)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return pixels / np.maximum(union, 1)


def compare(reference: Reference, name: str, found: dict[str, Confusion]) -> list[Comparison]:
    comparisons = []
    tolerance = reference.tolerance("miou_abs")
    for key, expected in reference.stored(name).items():
        size, precision = key.rsplit("_", 1)
        allowed = found[f"{size}_ties"] if precision == "f32" else 0
        comparisons.append(absolute([key, "hist"], found[key], expected["hist"], allowed))
        excused = _moved_by(allowed, found[key]) if precision == "f32" else np.zeros(len(found[key]))
        # The stored matrix too has to give the stored IoU: a tie excuses no other error in it.
        for matrix, excuse in ((found[key], excused), (np.asarray(expected["hist"], np.int64), 0 * excused)):
            comparisons.append(absolute([key, "iu"], iou(matrix), expected["iu"], tolerance + excuse))
            comparisons.append(
                absolute([key, "miou"], miou(matrix), expected["miou"], tolerance + excuse.mean())
            )
    return comparisons
