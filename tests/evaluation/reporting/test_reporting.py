from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from intrada.core.config.classes import class_set
from intrada.core.config.schema import Rank
from intrada.core.errors import UserError
from intrada.evaluation.reporting import classes as class_section
from intrada.evaluation.reporting import diagnosis, easy_hard, figures, results
from intrada.methods import ranking
from tests.support.report_tree import CLASSES, MATRIX, METRICS, evaluation


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_subset_without_images_has_no_numbers() -> None:
    image = diagnosis.Comparison("hard", 0.5, np.array([[3, 1], [0, 0]]), None)
    actual = diagnosis.diagnose([image], 2)
    assert actual["easy"] == {"images": 0, "pixel_accuracy": None, "mIoU": None}
    assert actual["hard"] == {"images": 1, "pixel_accuracy": 75, "mIoU": 37.5}
    assert actual["easy_minus_hard"] == {"pixel_accuracy": None, "mIoU": None}
    assert actual["spearman_entropy_mIoU"] is None and actual["pseudo_labels"]["pixels_kept"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ('{"mIoU": 1}', "no key 'mIoU_easy'"),
        ("[1]", "indices"),
        ('{"mIoU": "x"}', "convert"),
    ],
)
def test_invalid_metrics_are_refused(project: Path, text: str, message: str) -> None:
    evaluation("inter")
    Path("evaluate/inter/metrics.json").write_text(text)
    with pytest.raises(UserError, match=message):
        results.read("inter", Path("evaluate/inter"), class_set(CLASSES))


def test_ious_of_other_classes_are_refused(project: Path) -> None:
    evaluation("inter")
    with pytest.raises(UserError, match="3 rows"):
        results.read("inter", Path("evaluate/inter"), class_set(CLASSES[:2]))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (float("nan"), "-"), (-0.04, "0.0"), (8.25, "8.2"), (100, "100.0")]
)
def test_numbers_have_one_decimal(value: float | None, text: str) -> None:
    assert results.decimal(value) == text


def test_the_cut_is_half_way_between_easy_and_hard() -> None:
    split = pd.DataFrame({"score": [0.1, 0.2, 0.6], "subset": ["easy", "easy", "hard"]})
    assert figures.cut_between(split) == pytest.approx(0.4)
    assert figures.cut_between(split.assign(subset="hard")) is None


def test_every_best_iou_of_a_class_is_marked_and_an_absent_class_has_none(project: Path) -> None:
    for name in METRICS:
        evaluation(name)
    classes = class_set(CLASSES)
    models = [results.read(name, Path("evaluate") / name, classes) for name in METRICS]
    road, sky, car = class_section.rows(models, classes)
    assert (road.best, road.span, road.gain) == ("75.0", (40.0, 75.0), 35.0)
    assert sky.best == "60.1" and [results.decimal(cell) for cell in sky.cells] == ["60.1", "50.0", "60.1"]
    assert sky.color == "#4682b4" and car.best == "-" and np.isnan(car.gain)


def test_curves_draw_the_losses_without_the_learning_rates() -> None:
    losses = pd.DataFrame(
        {"iteration": [1, 2], "seg_main": [2.0, 1.0], "seg_aux": [1.0, 1.0], "lr_discriminator": 0.1}
    )
    figure = figures.training_curves({"source": losses, "intra": losses.head(0)})
    main, aux = figure.axes[0].lines
    assert (main.get_label(), aux.get_label()) == ("seg_main", "seg_aux")
    assert main.get_color() == aux.get_color() and main.get_linestyle() != aux.get_linestyle()
    assert not figure.axes[1].lines and figure.axes[1].texts[0].get_text() == "nothing logged"


def test_a_long_curve_is_downsampled_to_means_and_keeps_its_end() -> None:
    losses = pd.DataFrame({"iteration": range(1, 8), "seg": [1.0, 3, 5, 7, 9, 11, 13]})
    short = figures.downsampled(losses, 4)
    assert short["iteration"].tolist() == [2, 4, 6, 7] and short["seg"].tolist() == [2, 6, 10, 13]
    assert figures.downsampled(losses, 7) is losses


def test_no_curve_is_cut_off() -> None:
    losses = pd.DataFrame({"iteration": [1, 2], "seg_main": [2.0, 1.0], "seg_aux": [9.0, 1.0]})
    bottom, top = figures.training_curves({"source": losses}).axes[0].get_ylim()
    assert bottom == 0 and top > 9


def test_the_histogram_counts_every_image_once() -> None:
    scores = pd.DataFrame({"image": list("abcde"), "entropy": [0.1, 0.1, 0.2, 0.5, 0.9]})
    figure = figures.entropy_histogram(ranking.rank(scores, "mean_entropy", 0.6), "entropy")
    bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert sum(bar.get_height() for bar in bars) == 5
    assert any(bar.get_x() == pytest.approx(0.35) for bar in bars), "the cut is at the edge of a bar"
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]
    assert set(legend) == {"easy: 3 images", "hard: 2 images", "cut at 0.3500"}


@pytest.mark.parametrize("rule", ranking.RULES)
def test_every_ranking_rule_is_described(rule: str) -> None:
    split = pd.DataFrame({"score": [0.1, 0.2], "subset": ["easy", "hard"]})
    rank = Rank.model_validate({"rule": rule, "easy_fraction": 0.5, "rare_classes": ["car"]})
    facts = dict(easy_hard.build(split, rank, 3, "bf16").facts)
    assert facts["ranking rule"] == rule and ("rare classes" in facts) == (rule != "mean_entropy")
    assert easy_hard.QUANTITIES[rule]


@pytest.mark.parametrize(
    "precision, is_counted", [("float32", False), ("bf16", True), ("auto", True), (None, True)]
)
def test_near_ties_are_counted_where_bfloat16_may_have_run(precision: str | None, is_counted: bool) -> None:
    split = pd.DataFrame({"score": [0.1, 0.2], "subset": ["easy", "hard"]})
    rank = Rank.model_validate({"rule": "mean_entropy", "easy_fraction": 0.5, "rare_classes": []})
    facts = dict(easy_hard.build(split, rank, 3, precision).facts)
    assert any("near ties" in term for term in facts) == is_counted


def test_the_confusion_matrix_has_shares_of_each_true_class_and_no_row_without_pixels() -> None:
    matrix = class_section.confusion_matrix(np.array(MATRIX), class_set(CLASSES), "intra")
    assert "true road, predicted sky: 10.0 %" in matrix and "true sky, predicted sky: 75.0 %" in matrix
    assert "true car" not in matrix and matrix.count("<rect") == 6
