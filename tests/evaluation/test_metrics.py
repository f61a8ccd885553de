from __future__ import annotations

import numpy as np
import pytest

from intrada.evaluation import metrics

# classes 0 and 1 have one correct pixel each, class 2 has none; the last pixel is not counted
LABEL = np.array([[0, 0, 1, 2, 255]], np.uint8)
PREDICTION = np.array([[0, 1, 1, 0, 2]], np.uint8)
TABLE = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_confusion_matrix_by_hand() -> None:
    actual = metrics.confusion_matrix(LABEL, PREDICTION, 4)
    np.testing.assert_array_equal(actual, TABLE)
    assert actual.dtype == np.int64


def test_iou_by_hand_is_nan_for_a_class_absent_from_label_and_prediction() -> None:
    np.testing.assert_allclose(metrics.iou(TABLE), [1 / 3, 1 / 2, 0, np.nan])


def test_miou_excludes_absent_classes() -> None:
    assert metrics.miou(TABLE) == pytest.approx((1 / 3 + 1 / 2 + 0) / 3)
    assert metrics.miou(TABLE, only=[1, 2, 3]) == pytest.approx(1 / 4)


def test_pixel_accuracy_by_hand() -> None:
    assert metrics.pixel_accuracy(TABLE) == pytest.approx(2 / 4)


def test_no_labelled_pixel_gives_nan_without_a_warning() -> None:
    empty = metrics.confusion_matrix(np.full(3, 255, np.uint8), np.zeros(3, np.uint8), 2)
    assert np.isnan(metrics.miou(empty)) and np.isnan(metrics.pixel_accuracy(empty))


def test_the_matrix_of_two_images_is_the_sum_of_their_matrices() -> None:
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 3, (2, 50)), rng.integers(0, 3, (2, 50))
    halves = sum(metrics.confusion_matrix(label[i], predicted[i], 3) for i in range(2))
    np.testing.assert_array_equal(metrics.confusion_matrix(label, predicted, 3), halves)


def test_many_classes_do_not_overflow_a_byte() -> None:
    label = np.full(4, 200, np.uint8)
    assert metrics.confusion_matrix(label, label, 254)[200, 200] == 4


@pytest.mark.parametrize("predicted, label", [(3, 0), (255, 0), (-1, 0), (0, 7), (0, -1), (3, 255)])
def test_values_out_of_range_are_refused(predicted: int, label: int) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        metrics.confusion_matrix(np.array([label]), np.array([predicted]), 3)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
