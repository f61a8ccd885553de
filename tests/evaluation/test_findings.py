"""Hand-worked evaluations: shares, calibration, and what stands out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from intrada.evaluation import agreement, findings, plot_tables
from intrada.evaluation.findings import Evaluation

CLASSES = ["road", "sky", "car"]
COMPARED = [("source", "intra")]
METRICS: dict[str, float | None] = {"mIoU": 51.26, "mean_entropy": 0.12345, "mutual_information": 0.5}


def evaluation(predicted: list[float], labelled: list[float] | None = None) -> Evaluation:
    labels = labelled or [math.nan] * 3
    by_class = pd.DataFrame({"class": CLASSES, "iou": [50.0, 25.0, math.nan], "pixels": 1})
    by_class = by_class.assign(labelled_share=labels, predicted_share=predicted)
    reliability = pd.DataFrame(
        {"from": [50, 90], "to": [60, 100], "pixels": [1, 3], "confidence": [55, 95], "accuracy": [75, 85]}
    )
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]]) if labelled else np.zeros((3, 3), np.int64)
    return Evaluation(METRICS, by_class, confusion, reliability if labelled else reliability.head(0))


def shares(evaluations: dict[str, Evaluation], kept: list[int]) -> pd.DataFrame:
    scores = pd.DataFrame({"image": ["a", "b"], "entropy": 0.5})
    scores = scores.assign(pixels_road=[60, 40], pixels_sky=[30, 50], pixels_car=[10, 10])
    by_class = pd.DataFrame({"class": CLASSES, "predicted": [60, 30, 10], "kept": kept})
    return findings.shares(CLASSES, {"road": 1, "sky": 3, "bicycle": 9}, evaluations, scores, by_class)


def summary(evaluations: dict[str, Evaluation], kept: list[int]) -> dict[str, object]:
    images = pd.DataFrame({"image": ["a", "b"], "source_intra": [90.0, 70.0]})
    next_images = pd.DataFrame({"image": ["b"]})
    matrix = np.array([[6, 1, 0], [0, 2, 0], [1, 0, 0]])
    return findings.summary(evaluations, shares(evaluations, kept), images, COMPARED, [matrix], next_images)


def test_the_shares_of_every_column_are_in_percent_of_its_pixels() -> None:
    evaluations = {"source": evaluation([50, 30, 20], [40, 40, 20]), "intra": evaluation([60, 40, 0])}
    table = shares(evaluations, [60, 20, 0])
    assert table["class"].tolist() == CLASSES
    assert table["source_labels"].tolist() == [25, 75, 0]  # bicycle is not one of the classes
    assert table["labels"].tolist() == [40, 40, 20] and table["intra"].tolist() == [60, 40, 0]
    assert table["target_predicted"].tolist() == pytest.approx([50, 40, 10])
    assert table["easy_predicted"].tolist() == [60, 30, 10]
    assert table["pseudo_labels"].tolist() == [75, 25, 0]


def test_vanished_classes_are_compared_with_the_labels_if_there_are_any() -> None:
    labelled = {"source": evaluation([50, 30, 20], [40, 40, 20]), "intra": evaluation([60, 39, 1])}
    assert summary(labelled, [60, 30, 10])["vanished_compared_with"] == "labels"
    models = summary(labelled, [60, 30, 10])["models"]
    assert isinstance(models, dict) and models["intra"]["vanished_classes"] == ["car"]
    assert models["source"]["vanished_classes"] == []


def test_without_labels_they_are_compared_with_the_source_only_model() -> None:
    unlabelled = {"source": evaluation([50, 30, 20]), "intra": evaluation([60, 39, 1])}
    found = summary(unlabelled, [60, 30, 10])
    models = found["models"]
    assert found["vanished_compared_with"] == "source"
    assert isinstance(models, dict) and models["intra"]["vanished_classes"] == ["car"]
    assert models["intra"]["calibration_error"] is None


def test_starved_classes_pairs_and_images_are_named() -> None:
    unlabelled = {"source": evaluation([50, 30, 20]), "intra": evaluation([60, 39, 1])}
    found = summary(unlabelled, [60, 30, 1])
    assert found["starved_by_pseudo_labels"] == [
        {"class": "car", "target_predicted": pytest.approx(10), "pseudo_labels": pytest.approx(100 / 91)}
    ]
    assert found["pairs"] == {
        "source_intra": {
            "agreement": 80.0,
            "least": [{"image": "b", "agreement": 70.0}, {"image": "a", "agreement": 90.0}],
        }
    }
    assert found["label_next"] == ["b"]


def test_the_calibration_error_is_weighted_by_the_pixels() -> None:
    reliability = evaluation([1, 1, 1], [40, 40, 20]).reliability
    assert findings.calibration_error(reliability) == pytest.approx((1 * 20 + 3 * 10) / 4)


def test_metrics_are_rounded_as_people_compare_them() -> None:
    metrics = METRICS | {"mIoU_hard": None}
    assert findings.rounded(metrics) == {
        "mIoU": 51.3, "mean_entropy": 0.123, "mutual_information": 0.5, "mIoU_hard": None,
    }  # fmt: skip


def test_the_tables_of_the_plots_have_one_row_a_point() -> None:
    evaluations = {"source": evaluation([1, 1, 1], [40, 40, 20]), "intra": evaluation([1, 1, 1])}
    snapshots = pd.DataFrame({"iteration": [1, 2], "information": 0.5, "mIoU": [10.0, 20.0], "last": 0})
    tables = plot_tables.tables(evaluations, {"inter": snapshots}, CLASSES)
    assert tables["iou"].to_numpy().tolist() == [
        ["road", "source", 50], ["sky", "source", 25], ["road", "intra", 50], ["sky", "intra", 25],
    ]  # fmt: skip
    confusion = tables["confusion"].set_index(["model", "truth", "predicted"])["percent"]
    assert len(confusion) == 6  # two classes occur in the labels, and only one model has labels
    assert confusion["source", "road", "road"] == 75 and confusion["source", "car", "sky"] == 50
    assert tables["miou"].to_numpy().tolist() == [["inter", 1, 10], ["inter", 2, 20]]
    assert tables["information"].to_numpy().tolist() == [["inter", 1, 0.5], ["inter", 2, 0.5]]


def test_without_labels_there_is_no_miou_of_snapshots_to_plot() -> None:
    snapshots = pd.DataFrame({"iteration": [1, 2], "information": 0.5, "mIoU": math.nan})
    tables = plot_tables.tables({"source": evaluation([1, 1, 1])}, {"source": snapshots}, CLASSES)
    assert tables["miou"].empty and len(tables["information"]) == 2


def test_without_labels_there_is_no_confusion_to_plot() -> None:
    table = plot_tables.tables({"source": evaluation([1, 1, 1])}, {"source": _no_snapshots()}, CLASSES)
    assert table["confusion"].empty and next(iter(table["confusion"].columns)) == "model"


def _no_snapshots() -> pd.DataFrame:
    return pd.DataFrame({"iteration": [], "information": [], "mIoU": []})


def test_pairs_of_the_summary_are_columns_of_the_table_of_images() -> None:
    assert [f"{a}_{b}" for a, b in agreement.pairs(["source", "intra"])] == ["source_intra"]
