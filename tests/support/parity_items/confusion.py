"""Item f_hist: confusion matrix, IoU and mIoU of given labels and predictions."""

from __future__ import annotations

from typing import Any

from intrada.evaluation.metrics import confusion_matrix, iou, miou
from tests.support.parity_items.comparing import Comparison, absolute, exact
from tests.support.parity_items.reference import Reference

INPUTS = frozenset({"label", "pred"})


def compute(reference: Reference, name: str) -> dict[str, Any]:
    stored = reference.stored(name)
    matrix = confusion_matrix(stored["label"], stored["pred"], reference.setting["num_classes"])
    return {"hist": matrix, "iu": iou(matrix), "miou": miou(matrix)}


def compare(reference: Reference, name: str, actual: dict[str, Any]) -> list[Comparison]:
    stored, tolerance = reference.stored(name), reference.tolerance("miou_abs")
    return [
        exact(["hist"], actual["hist"], stored["hist"]),
        absolute(["iu"], actual["iu"], stored["iu"], tolerance),
        absolute(["miou"], actual["miou"], stored["miou"], tolerance),
    ]
