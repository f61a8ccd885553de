from __future__ import annotations

import numpy as np

from intrada.data import resize


def test_a_size_is_width_by_height() -> None:
    assert resize.resize_image(np.zeros((4, 6, 3), np.uint8), (3, 8)).shape == (8, 3, 3)
    assert resize.resize_label(np.zeros((4, 6), np.uint8), (3, 8)).shape == (8, 3)


def test_reduction_is_antialiased() -> None:
    # alternating black and white columns, which stay black and white without antialiasing
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 254
    grey = resize.resize_image(stripes, (8, 8))[:, 1:-1]
    assert np.abs(grey.astype(int) - 127).max() <= 8


def test_the_filter_overshoots_at_an_edge_as_bicubic_does() -> None:
    edge = np.full((8, 8, 3), 50, np.uint8)
    edge[:, 4:] = 200
    wide = resize.resize_image(edge, (32, 8))
    assert wide.min() < 50 and wide.max() > 200


def test_the_channels_are_independent_and_keep_their_order() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0], image[..., 2] = 10, 30
    assert np.unique(resize.resize_image(image, (7, 3)).reshape(-1, 3), axis=0).tolist() == [[10, 0, 30]]


def test_labels_are_resized_to_the_nearest_value() -> None:
    label = np.array([[0, 7], [255, 3]], np.uint8)
    doubled = resize.resize_label(label, (4, 4))
    assert doubled.tolist() == [[0, 0, 7, 7], [0, 0, 7, 7], [255, 255, 3, 3], [255, 255, 3, 3]]
    assert resize.resize_label(np.arange(6, dtype=np.uint8)[None], (3, 1)).tolist() == [[1, 3, 5]]


def test_resizing_to_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(resize.resize_image(image, (7, 5)), image)
    np.testing.assert_array_equal(resize.resize_label(image[..., 0], (7, 5)), image[..., 0])
