"""Which classes lose their pixels, on counts that can be checked by hand."""

from __future__ import annotations

import math

import pytest

from intrada.evaluation import shares


def test_a_class_is_starved_if_its_share_falls_below_a_quarter() -> None:
    # shares 60, 30, 10 % predicted; of 100 kept pixels 77, 21, 2
    assert shares.starved([600, 300, 100], [77, 21, 2]) == [2]
    assert shares.starved([600, 300, 100], [74, 23, 3]) == []
    assert shares.starved([600, 300, 100], [60, 30, 10]) == []


def test_a_class_vanishes_if_its_share_falls_below_a_tenth() -> None:
    assert shares.vanished([600, 300, 100], [698, 300, 2]) == [2]
    assert shares.vanished([600, 300, 100], [690, 298, 12]) == []
    assert shares.vanished([600, 300, 100], [1000, 0, 0]) == [1, 2]


def test_a_class_that_was_rare_before_is_not_judged() -> None:
    assert shares.vanished([9999, 1], [10000, 0]) == []
    assert shares.vanished([998, 2], [1000, 0]) == [1]


def test_without_pixels_no_class_is_named() -> None:
    assert shares.starved([5, 5], [0, 0]) == [] and shares.vanished([0, 0], [5, 5]) == []


@pytest.mark.parametrize("counts, expected", [([5, 5, 5, 5], 4), ([7, 0, 0], 1), ([1, 1, 0], 2)])
def test_the_effective_number_of_classes(counts: list[int], expected: float) -> None:
    assert shares.effective_classes(counts) == pytest.approx(expected)


def test_the_effective_number_of_classes_needs_pixels() -> None:
    assert math.isnan(shares.effective_classes([0, 0]))
