"""The ablation's intervals of several kinds, its corrected p-values and its table of classes, by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from intrada.pipeline.ablation import definition, evidence, statistics
from tests.support.definition import ROOT

ABLATION = definition.load(ROOT / definition.FILE)
DEV = ABLATION.benchmarks["iddlite_dev"]


def test_holm_multiplies_the_smallest_by_most_and_keeps_the_order() -> None:
    """Of three: .01 x 3; .02 x 2 = .04; .03 x 1 = .03 is raised to .04. A missing value does not count."""
    found = statistics.holm({"b": 0.03, "a": 0.01, "none": math.nan, "c": 0.02})
    assert [*found] == ["b", "a", "none", "c"] and math.isnan(found.pop("none"))
    assert found == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.04})
    assert statistics.holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_p_of_students_paired_test() -> None:
    """Differences 1, 2, 3: t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom: p = 0.0742."""
    control = pd.Series([50.0, 60.0, 70.0])
    assert statistics.p_value(control + [1, 2, 3], control) == pytest.approx(0.0742, abs=1e-4)
    assert statistics.p_value(control + 1, control) == 0 and statistics.p_value(control, control) == 1
    assert math.isnan(statistics.p_value(control[:1] + 1, control[:1]))


def test_the_bootstrap_over_seeds_is_within_the_differences_and_about_their_mean() -> None:
    control = pd.Series([50.0, 60.0, 70.0, 55.0, 65.0])
    low, high = statistics.over_seeds(control + [1, 2, 3, 2, 2], control)
    # the mean of five draws has the deviation sqrt(.4 / 5) = .283; 1.96 of them are .55
    assert (low, high) == pytest.approx((2 - 0.55, 2 + 0.55), abs=0.1)
    assert statistics.over_seeds(control + 3, control) == (3, 3)
    assert math.isnan(statistics.over_seeds(control[:1], control[:1]).low)


def _counts(hits: list[int]) -> np.ndarray:
    """One seed, one class, an image for each number of hits among 10 labelled and 10 predicted pixels."""
    return np.array([[[[10, 10, each]] for each in hits]])


def test_the_bootstrap_over_images_draws_the_same_images_for_both() -> None:
    ours, theirs = _counts([10, 10, 10]), _counts([5, 5, 5])  # IoU 1 and 5 / 15
    assert statistics.over_images(ours, theirs) == pytest.approx((200 / 3, 200 / 3))
    mixed = _counts([10, 5, 0])
    assert statistics.over_images(mixed, mixed) == (0, 0)
    low, high = statistics.over_images(mixed, theirs)
    assert low < 0 < high  # a draw of three times the first image, and of the last


def test_a_class_that_no_drawn_image_has_does_not_count() -> None:
    both = np.array([[[[10, 10, 10], [0, 0, 0]], [[10, 10, 10], [4, 4, 0]]]])  # the second class: one image
    one = np.array([[[[10, 10, 10], [0, 0, 0]], [[10, 10, 10], [4, 4, 4]]]])
    low, high = statistics.over_images(both, one)
    assert (low, high) == (-50, 0)  # 0 where the first image is drawn twice


def _table() -> pd.DataFrame:
    """Two classes on two images; the recipe teacher_augmented hits more of the first class than the others."""
    rows = [
        {
            "recipe": recipe, "seed": 1, "image": image, "class": name, "truth": 10, "predicted": 10,
            "hits": 10 if (recipe, name) == ("teacher_augmented", "road") else 5,
        }
        for recipe in DEV.recipes for image in "ab" for name in ("road", "car")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_table_of_classes_sums_over_the_images() -> None:
    lines = evidence.per_class(_table(), ABLATION, DEV).splitlines()
    assert lines[0] == "| recipe | road | car |" and len(lines) == 2 + len(DEV.recipes)
    assert "| AdvEnt | 33.3 | 33.3 |" in lines
    assert "| mean teacher with changed colours | 100.0 | 33.3 |" in lines


def test_one_seed_has_an_interval_over_images_alone() -> None:
    results = pd.DataFrame(
        [
            {"recipe": name, "seed": 1, "mIoU": 66.7 if name == "teacher_augmented" else 33.3}
            for name in DEV.recipes
        ]
    )
    text = evidence.intervals(results, _table(), ABLATION, DEV)
    assert "| mean teacher with changed colours | +33.40 |  |  | [+33.33, +33.33] |  |  |" in text
    assert ABLATION.recipes[ABLATION.control].label not in text
