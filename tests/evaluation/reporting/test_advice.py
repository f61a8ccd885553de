"""The sentences of the page, for invented results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from intrada.core.config.classes import class_set
from intrada.evaluation.reporting import diagnosis
from intrada.evaluation.reporting.advice import advise, in_order
from intrada.evaluation.reporting.results import Result, SelectedSnapshots

CLASSES = class_set(["road", "sky", "car"])
GOOD = SelectedSnapshots(
    "intra", 2, [("last", True, 20, 60.0), ("label_free", False, 10, 59.8), ("oracle", False, 20, 60.0)]
)
LABELLED: dict[str, Any] = {"spearman_entropy_mIoU": -0.8, "pseudo_labels": {"pixel_accuracy": 90.0}}


def model(name: str, miou: float, easy: float, hard: float, *ious: float) -> Result:
    metrics = {"mIoU": miou, "mIoU_easy": easy, "mIoU_hard": hard, "pixel_accuracy": 80.0}
    return Result(name, metrics, np.array(ious or (60.0, 60.0, 60.0)))


SOURCE, INTER = model("source", 50, 55, 40), model("inter", 56, 60, 48)


def advice_text(
    intra: Result = model("intra", 58, 61, 52),  # noqa: B008
    *,
    source: Result = SOURCE,
    chosen: SelectedSnapshots = GOOD,
    quality: dict[str, Any] = LABELLED,
) -> str:
    """Return the sentences with their tones, one per line."""
    return "\n".join(
        f"{item.tone}: {item.text}" for item in advise([source, INTER, intra], CLASSES, [chosen], quality)
    )


def test_a_good_run_has_no_bad_news() -> None:
    text = advice_text()
    assert (
        "good: Adaptation (source to intra) raised the mIoU from 50.0 to 58.0 percent (by 8.0 points)."
        in text
    )
    assert "good: intra gained 2.0 points of mIoU over inter (hard images +4.0, easy images +1.0)" in text
    assert "bad:" not in text


def test_an_intra_model_below_inter_is_bad_news() -> None:
    text = advice_text(model("intra", 54.9, 60, 45))
    assert (
        "bad: intra is worse than inter: it lost 1.1 points of mIoU (hard images -3.0, easy images +0.0)"
        in text
    )


def test_a_gain_on_the_easy_images_only_is_bad_news() -> None:
    text = advice_text(model("intra", 57, 63, 47))
    assert "bad: intra gained 1.0 points" in text and "but not on the hard images" in text


def test_a_small_gain_is_a_note() -> None:
    assert "note: intra minus inter: +0.2 points" in advice_text(model("intra", 56.2, 60.1, 48.4))


def test_an_adaptation_below_source_is_bad_news() -> None:
    text = advice_text(model("intra", 48, 50, 45), source=model("source", 50, 55, 40))
    assert "bad: Adaptation lowered the mIoU from 50.0 to 48.0 percent (2.0 points below" in text


def test_the_worst_the_missed_and_the_most_degraded_class_are_named() -> None:
    text = advice_text(
        model("intra", 58, 61, 52, 20.0, 0.0, 50.0), source=model("source", 50, 55, 40, 30.0, 0.0, 48.0)
    )
    assert "Worst class of intra: road, IoU 20.0" in text and "intra never predicts sky correctly" in text
    assert "The IoU of road fell by 10.0 points" in text


def test_absent_classes_are_not_mentioned() -> None:
    nan = math.nan
    text = advice_text(
        model("intra", 58, 61, 52, nan, 70.0, nan), source=model("source", 50, 55, 40, nan, nan, nan)
    )
    assert "Worst class of intra: sky" in text and "never" not in text and "fell" not in text


@pytest.mark.parametrize(
    ("free", "selected", "sentence"),
    [
        (
            60.0,
            60.0,
            "note: Of the 2 snapshots of intra, the label-free choice (60.0 percent mIoU) is 0.0 points",
        ),
        (
            57.0,
            60.0,
            "bad: Of the 2 snapshots of intra, the label-free choice (57.0 percent mIoU) is 3.0 points",
        ),
        (60.0, 58.0, "note: The selected snapshot is 2.0 points worse than the label-free choice"),
    ],
)
def test_the_label_free_choice_is_compared_with_the_best(free: float, selected: float, sentence: str) -> None:
    rows = [("last", True, 20, selected), ("label_free", False, 10, free), ("oracle", False, 15, 60.0)]
    assert sentence in advice_text(chosen=SelectedSnapshots("intra", 2, rows))


@pytest.mark.parametrize("count, says", [(4, False), (5, True)])
def test_a_few_snapshots_do_not_show_what_labels_would_bring(count: int, says: bool) -> None:
    text = advice_text(chosen=SelectedSnapshots("intra", count, GOOD.rows))
    assert ("labels would have improved the choice only a little" in text) == says
    assert ("So few snapshots cannot show" in text) != says


def test_problems_come_first() -> None:
    found = advise([SOURCE, INTER, model("intra", 54.9, 60, 45)], CLASSES, [GOOD], LABELLED)
    tones = [item.tone for item in in_order(found)]
    assert tones == sorted(tones, key=["bad", "good", "note"].index) and tones[0] == "bad"


def test_a_gain_that_a_seed_may_explain_is_no_good_news() -> None:
    assert "note: Adaptation (source to intra) raised" in advice_text(model("intra", 51.9, 56, 41))


def test_a_single_snapshot_is_not_mentioned() -> None:
    assert "snapshot" not in advice_text(chosen=SelectedSnapshots("intra", 1, GOOD.rows))


@pytest.mark.parametrize("hard, says", [(20, "bad: The entropy of a"), (9, "note: The entropy of a")])
def test_an_uninformative_ranking_and_wrong_pseudo_labels_are_bad_news(hard: int, says: str) -> None:
    quality = {"spearman_entropy_mIoU": -0.1, "pseudo_labels": {"pixel_accuracy": 70.0}}
    text = advice_text(quality=quality | {"easy": {"images": 20}, "hard": {"images": hard}})
    assert says in text and f"(Spearman correlation -0.10 on {20 + hard} images)" in text
    assert "30.0 percent of the pseudo-labelled pixels are wrong" in text


def test_without_target_labels_the_pseudo_labels_are_not_mentioned() -> None:
    text = advice_text(quality=diagnosis.without_labels())
    assert "pseudo-label" not in text and "entropy" not in text
