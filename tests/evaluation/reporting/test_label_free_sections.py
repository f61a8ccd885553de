"""The sections of the page that need no label, for invented results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intrada.core.config.classes import class_set
from intrada.evaluation.reporting import confidence, shares
from intrada.evaluation.reporting.label_free_advice import advise

CLASSES = class_set(["road", "sky", "car"])


def found(**changes: Any) -> dict[str, Any]:
    """Return findings.json of a run in which nothing stands out."""
    model = {
        "mean_entropy": 0.3,
        "mutual_information": 0.5,
        "effective_classes": 2.5,
        "calibration_error": None,
        "vanished_classes": [],
    }
    last = model | {"mean_entropy": 0.2, "mutual_information": 0.6}
    usual = {
        "models": {"source": model, "inter": model, "intra": last | changes.pop("last", {})},
        "vanished_compared_with": "source",
        "pairs": {"source_intra": {"agreement": 90.0, "least": []}},
        "starved_by_pseudo_labels": [],
        "label_next": ["a", "b"],
    }
    return usual | changes


def text(labelled: bool = False, **changes: Any) -> str:
    return "\n".join(f"{item.tone}: {item.text}" for item in advise(found(**changes), 50, labelled))


def test_a_surer_and_varied_model_is_no_proof_and_labels_are_suggested() -> None:
    said = text()
    assert "bad:" not in said and "good:" not in said
    assert "0.500 before, 0.600 after" in said and "a model can also be sure and wrong" in said
    assert "shows 2 of the 50 target images" in said


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"last": {"mean_entropy": 0.35}}, "bad: intra is less sure than source (mean entropy 0.300 before"),
        ({"last": {"mutual_information": 0.4}}, "bad: The mutual information of a pixel"),
        ({"last": {"vanished_classes": ["car"]}}, "bad: intra hardly predicts car: less than a tenth of the share that source predicts"),
        ({"pairs": {"source_intra": {"agreement": 70.0, "least": []}}}, "agree on 70.0 percent of the pixels only"),
        ({"starved_by_pseudo_labels": [{"class": "car", "target_predicted": 2.0, "pseudo_labels": 0.2}]}, "bad: Pseudo-labels starve car (2.00 % of the predictions, 0.20 % of the"),
    ],
)  # fmt: skip
def test_a_collapse_is_named_without_labels(changes: dict[str, Any], says: str) -> None:
    assert says in text(**changes) and says not in text()


def test_with_labels_only_lost_and_starved_classes_are_said() -> None:
    assert text(labelled=True) == ""
    assert "hardly predicts car" in text(labelled=True, last={"vanished_classes": ["car"]})


def share_table(labels: float) -> pd.DataFrame:
    columns = {"source": [60.0, 40, 0], "inter": [70.0, 30, 0], "intra": [80.0, 20, 0]}
    target = {"target_predicted": [50.0, 30, 20], "pseudo_labels": [60.0, 38, 2]}
    start = {"class": CLASSES.names, "source_labels": [10.0, 10, 80], "labels": labels}
    return pd.DataFrame(start | columns | target)


@pytest.mark.parametrize(
    "labels, reference, first", [(math.nan, "labels of the source", 10.0), (20.0, "labels", 20.0)]
)
def test_shares_are_compared_with_the_labels_or_else_with_the_source(
    labels: float, reference: str, first: float
) -> None:
    built = shares.build(share_table(labels), ["source", "inter", "intra"], CLASSES, ["car"])
    assert (built.reference, built.rows[0].reference) == (reference, first)
    assert [row.is_vanished for row in built.rows] == [False, False, True] and built.widest == 80


def test_pseudo_labels_by_class_have_their_quality_only_with_labels() -> None:
    kept = pd.DataFrame({"class": CLASSES.names, "predicted": [100, 50, 0], "kept": [50, 50, 0]})
    table = share_table(math.nan)
    road, _, car = shares.pseudo_labels(table, kept, CLASSES, ["car"], None)
    assert (road.kept_part, road.precision, road.is_starved) == ("50.0", "-", False)
    assert (car.kept_part, car.predicted, car.kept, car.is_starved) == ("-", 20, 2, True)
    quality = [{"kept": 50.0, "precision": 91.0, "iou": 80.0}] * 3
    assert shares.pseudo_labels(table, kept, CLASSES, [], quality)[0].precision == "91.0"
    assert shares.pseudo_labels(table, kept.assign(kept=0), CLASSES, [], None) == []


def test_reliability_is_drawn_for_each_model_and_tiny_ranges_are_left_out() -> None:
    names = ["source", "intra"]
    images = pd.DataFrame({"id": ["a", "b"], "subset": "easy", "entropy": [0.1, 0.2], "mIoU": [60.0, 50.0]})
    table = pd.DataFrame({"pixels": [1, 9999], "confidence": [15.0, 95.0], "accuracy": [0.0, 90.0]})
    models = {name: found()["models"]["intra"] for name in names}
    built = confidence.build(models, dict.fromkeys(names, table), dict.fromkeys(names, images))
    assert built.reliability is not None and built.reliability.count("<circle") == 2
    assert "intra: confidence 95.0, correct 90.0, 100.0 % of the pixels" in built.reliability
    assert built.scatter is not None and "a: entropy 0.100, mIoU 60.0" in built.scatter
    assert built.correlation == "-1.00 on 2 images"
    unlabelled = dict.fromkeys(names, images.assign(mIoU=np.nan))
    without = confidence.build(models, dict.fromkeys(names, table.head(0)), unlabelled)
    assert without.scatter is None and without.reliability is None and "polyline" in without.entropies
