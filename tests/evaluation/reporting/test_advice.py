"""What the page advises, from numbers made up for each case."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from intrada.core.config.classes import class_set
from intrada.evaluation.reporting import diagnosis
from intrada.evaluation.reporting.advice import advise
from intrada.evaluation.reporting.results import Result, Selected

CLASSES = class_set(["road", "sky", "car"])
GOOD = Selected(
    "intra", 2, [("last", True, 20, 60.0), ("label_free", False, 10, 59.8), ("oracle", False, 20, 60.0)]
)
LABELLED: dict[str, Any] = {"spearman_entropy_mIoU": -0.8, "pseudo_labels": {"pixel_accuracy": 90.0}}


def model(name: str, miou: float, easy: float, hard: float, *ious: float) -> Result:
    metrics = {"mIoU": miou, "mIoU_easy": easy, "mIoU_hard": hard, "pixel_accuracy": 80.0}
    return Result(name, metrics, np.array(ious or (60.0, 60.0, 60.0)))


SOURCE, INTER = model("source", 50, 55, 40), model("inter", 56, 60, 48)


def said(
    intra: Result = model("intra", 58, 61, 52),  # noqa: B008
    *,
    source: Result = SOURCE,
    chosen: Selected = GOOD,
    found: dict[str, Any] = LABELLED,
) -> str:
    """All sentences, a line each, with their tones."""
    return "\n".join(
        f"{item.tone}: {item.text}" for item in advise([source, INTER, intra], CLASSES, [chosen], found)
    )


def test_a_run_that_went_well_has_no_bad_news() -> None:
    text = said()
    assert "good: Adaptation, source to intra: mIoU from 50.0 to 58.0 percent, 8.0 points gained" in text
    assert "good: intra gained 2.0 points of mIoU over inter (hard images +4.0, easy images +1.0)" in text
    assert "bad:" not in text


def test_an_intra_model_worse_than_inter_is_called_worse() -> None:
    text = said(model("intra", 54.9, 60, 45))
    assert (
        "bad: intra is worse than inter: 1.1 points of mIoU lost (hard images -3.0, easy images +0.0)" in text
    )


def test_a_gain_without_the_hard_images_is_no_good_news() -> None:
    text = said(model("intra", 57, 63, 47))
    assert "bad: intra gained 1.0 points" in text and "but not on the hard images" in text


def test_a_small_gain_is_said_to_be_small() -> None:
    assert "note: intra against inter: +0.2 points" in said(model("intra", 56.2, 60.1, 48.4))


def test_an_adaptation_that_lost_against_source_is_called_worse() -> None:
    text = said(model("intra", 48, 50, 45), source=model("source", 50, 55, 40))
    assert "bad: Adaptation made the model worse: mIoU from 50.0 to 48.0 percent, 2.0 points lost" in text


def test_the_worst_class_the_never_found_and_the_one_that_lost_are_named() -> None:
    text = said(
        model("intra", 58, 61, 52, 20.0, 0.0, 50.0), source=model("source", 50, 55, 40, 30.0, 0.0, 48.0)
    )
    assert "Worst class of intra: road, IoU 20.0" in text and "intra never finds sky" in text
    assert "Adaptation cost road 10.0 points of IoU" in text


def test_classes_that_do_not_occur_are_not_blamed() -> None:
    nan = math.nan
    text = said(model("intra", 58, 61, 52, nan, 70.0, nan), source=model("source", 50, 55, 40, nan, nan, nan))
    assert "Worst class of intra: sky" in text and "never" not in text and "cost" not in text


@pytest.mark.parametrize(
    ("free", "used", "words"),
    [
        (
            60.0,
            60.0,
            "good: Of intra's 2 snapshots the choice without labels (60.0 percent mIoU) lies 0.0 points",
        ),
        (
            57.0,
            60.0,
            "bad: Of intra's 2 snapshots the choice without labels (57.0 percent mIoU) lies 3.0 points",
        ),
        (60.0, 58.0, "note: The snapshot in use is 2.0 points worse than the one chosen without labels"),
    ],
)
def test_the_choice_without_labels_is_held_against_the_best(free: float, used: float, words: str) -> None:
    rows = [("last", True, 20, used), ("label_free", False, 10, free), ("oracle", False, 15, 60.0)]
    assert words in said(chosen=Selected("intra", 2, rows))


def test_one_snapshot_is_no_choice() -> None:
    assert "snapshot" not in said(chosen=Selected("intra", 1, GOOD.rows))


def test_a_ranking_and_pseudo_labels_that_are_wrong_are_named() -> None:
    text = said(found={"spearman_entropy_mIoU": -0.1, "pseudo_labels": {"pixel_accuracy": 70.0}})
    assert "Entropy says little" in text and "30.0 percent of the pseudo-labels' pixels are wrong" in text


def test_without_target_labels_nothing_is_said_of_their_quality() -> None:
    text = said(found=diagnosis.absent())
    assert "pseudo-label" not in text and "Entropy" not in text


def test_without_evaluation_labels_the_gallery_is_all_there_is() -> None:
    nan = math.nan
    blind = [model(name, nan, nan, nan, nan, nan, nan) for name in ("source", "inter", "intra")]
    (only,) = advise(blind, CLASSES, [GOOD], diagnosis.absent())
    assert only.tone == "note" and "gallery, hardest images first" in only.text
