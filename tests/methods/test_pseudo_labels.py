from __future__ import annotations

import numpy as np
import pytest

from intrada.core.errors import UserError
from intrada.methods import pseudo_labels

PREDICTION = np.array([[0, 1, 2, 3]], np.uint8)
CONFIDENCE = np.array([[0.0, 0.5, 0.9, 1.0]])


@pytest.mark.parametrize(
    "threshold, kept",
    [(0, [0, 1, 2, 3]), (0.5, [255, 1, 2, 3]), (0.95, [255, 255, 255, 3]), (1, [255, 255, 255, 3])],
)
def test_pixels_below_the_threshold_are_ignored(threshold: float, kept: list[int]) -> None:
    actual = pseudo_labels.select(PREDICTION, CONFIDENCE, threshold)
    assert actual.tolist() == [kept] and actual.dtype == np.uint8


@pytest.mark.parametrize("threshold", [0, 0.49, 0.9, 1])
def test_a_pixel_dropped_by_its_float_confidence_is_also_dropped_by_its_stored_byte(threshold: float) -> None:
    confidence = np.linspace(0, 1, 1001)[None]
    prediction = np.zeros(confidence.shape, np.uint8)
    stored = pseudo_labels.select(prediction, pseudo_labels.confidence_bytes(confidence), threshold) == 0
    exact = pseudo_labels.select(prediction, confidence, threshold) == 0
    assert not (stored & ~exact).any()
    assert abs(int(stored.sum()) - int(exact.sum())) <= 4  # one byte is 4 of the 1001 steps


def test_confidence_bytes_by_hand() -> None:
    assert pseudo_labels.confidence_bytes(np.array([0.0, 0.5, 0.9999, 1.0, 1.0000001])).tolist() == [
        0,
        127,
        254,
        255,
        255,
    ]


def test_select_does_not_change_its_inputs() -> None:
    before = PREDICTION.copy()
    pseudo_labels.select(PREDICTION, CONFIDENCE, 0.7)
    np.testing.assert_array_equal(PREDICTION, before)


@pytest.mark.parametrize("threshold", [-0.01, 1.5, float("nan")])
def test_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="min_confidence"):
        pseudo_labels.select(PREDICTION, CONFIDENCE, threshold)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        pseudo_labels.select(PREDICTION, CONFIDENCE[:, :2], 0.5)


def test_a_class_threshold_keeps_the_share_of_highest_confidence_including_ties() -> None:
    counts = np.zeros((4, 256), np.int64)
    counts[0, [10, 20, 30, 40]] = 1  # half of four pixels: bytes 30 and 40
    counts[1, [5, 200]] = [1, 9]  # nine pixels of equal confidence
    counts[2, 255] = 3
    # class 3 is never predicted
    actual = pseudo_labels.class_thresholds(counts, 0.5)
    assert actual * 255 == pytest.approx([29.5, 199.5, 254.5, 0.0])
    assert pseudo_labels.class_thresholds(counts, 0.51)[0] * 255 == pytest.approx(19.5)


def test_a_class_threshold_keeps_the_byte_of_confidence_it_was_computed_from() -> None:
    for byte in range(256):
        counts = np.zeros((1, 256), np.int64)
        counts[0, byte] = 1
        kept = pseudo_labels.select(
            np.zeros((1, 1), np.uint8),
            np.full((1, 1), byte, np.uint8),
            0.0,
            pseudo_labels.class_thresholds(counts, 0.5),
        )
        assert kept[0, 0] == 0


def test_a_pixel_must_reach_both_thresholds() -> None:
    prediction = np.array([[0, 0, 1, 1]], np.uint8)
    confidence = np.array([[0.3, 0.6, 0.6, 0.9]])
    kept = pseudo_labels.select(prediction, confidence, 0.5, np.array([0.2, 0.8]))
    assert kept.tolist() == [[255, 0, 255, 1]]
