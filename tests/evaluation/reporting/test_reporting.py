from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from intrada.core.config.classes import class_set
from intrada.core.config.schema import Rank
from intrada.core.errors import UserError
from intrada.evaluation.reporting import diagnosis, drawing, figures, page, results
from intrada.methods import ranking
from tests.support.report_tree import CLASSES, METRICS, evaluation


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
    road, sky, car = page.class_rows(models, classes)
    assert road["cells"] == [("40.0", False), ("70.0", False), ("75.0", True)]
    assert sky["cells"] == [("60.1", True), ("50.0", False), ("60.1", True)] and sky["color"] == "#4682b4"
    assert car["cells"] == [("-", False)] * 3
    assert [row["gain"] for row in (road, sky, car)] == ["35.0", "0.0", "-"]


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


def test_figures_of_the_page_are_drawn_in_light_and_in_dark() -> None:
    losses = pd.DataFrame({"iteration": [1, 2], "seg": [2.0, 1.0]})
    urls = drawing.data_urls(lambda: figures.training_curves({"a": losses}))
    light, dark = (base64.b64decode(url.split(",")[1]).decode() for url in urls)
    for before, after in drawing.DARK.items():
        assert before in light and after not in light, "no curve has a colour of the theme"
        assert after in dark and before not in dark


def test_the_figures_have_the_colours_of_the_page() -> None:
    css = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    light, dark = css.split("}", 1)
    for name, color in zip(("text", "muted", "line", "background"), drawing.DARK, strict=True):
        assert f"--{name}: {color};" in light and dark.count(f"--{name}: {drawing.DARK[color]};") == 2


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
    facts = dict(page.facts(split, rank, class_set(CLASSES)))
    assert facts["ranking rule"] == rule and ("rare classes" in facts) == (rule != "mean_entropy")
    assert page.QUANTITIES[rule]
