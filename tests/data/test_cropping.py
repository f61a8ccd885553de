"""Random sizes and crops of training images: what is cut, how often a class may fill it, and padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from intrada.core.config.augment_blocks import Augment
from intrada.data.cropping import cropped
from intrada.data.resize import resize_image, resize_label

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 60, 90


def settings(size: tuple[int, int] = (32, 40), ratio: float = 1.0, tries: int = 10, **others: Any) -> Augment:
    crop = {"size": list(size), "cat_max_ratio": ratio, "tries": tries}
    return Augment.model_validate({"flip": False, "jitter": 0.0, "crop": crop, **others})


def street() -> tuple[Pixels, Pixels]:
    """Return an image whose pixel (y, x) is (x, y, 7), and its label, which is x // 10."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
    return np.dstack([columns, rows, np.full_like(rows, 7)]), columns // 10


def cut(chosen: Augment, seed: int, image: Pixels, label: Pixels) -> tuple[Pixels, Pixels]:
    return cropped(image, label, chosen, np.random.default_rng(seed))


def test_without_a_crop_both_are_as_they_were() -> None:
    image, label = street()
    same_image, same_label = cut(Augment(flip=False, jitter=0.0), 0, image, label)
    assert same_image is image and same_label is label


def test_a_crop_is_a_part_of_the_image_and_the_same_part_of_the_label() -> None:
    corners = set()
    for seed in range(300):
        image, label = cut(settings(), seed, *street())
        x, y = (int(value) for value in image[0, 0, :2])
        corners.add((x, y))
        whole_image, whole_label = street()
        np.testing.assert_array_equal(image, whole_image[y : y + 40, x : x + 32])
        np.testing.assert_array_equal(label, whole_label[y : y + 40, x : x + 32])
    # 59 x 21 places: with 300 draws both ends of both axes are near
    columns, rows = zip(*corners, strict=True)
    assert min(columns) <= 1 and max(columns) >= 57 and min(rows) == 0 and max(rows) == 20
    assert len(corners) > 200


@pytest.mark.parametrize("factor", [0.8, 4 / 3, 2.0])  # no middle of a pixel is between two pixels
def test_a_crop_of_a_resized_image_is_that_of_the_whole_resized_image(factor: float) -> None:
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    label = random.integers(0, 5, (HEIGHT, WIDTH), np.uint8)
    size = (round(WIDTH * factor), round(HEIGHT * factor))
    whole_image, whole_label = resize_image(image, size), resize_label(label, size)
    for seed in range(20):
        part, part_label = cut(settings(scale=[factor, factor]), seed, image, label)
        draws = np.random.default_rng(seed)
        draws.uniform(factor, factor)
        x, y = draws.integers([size[0] - 31, size[1] - 39])
        expected = whole_image[y : y + 40, x : x + 32].astype(int)
        assert abs(part - expected).max() <= 1
        np.testing.assert_array_equal(part_label, whole_label[y : y + 40, x : x + 32])


def test_the_factor_is_uniform_in_its_range() -> None:
    image, label = street()
    # the image is 90 wide; its columns, 0..89, are stretched by the factor
    slopes = []
    for seed in range(200):
        part, _ = cut(settings((32, 32), scale=[1.0, 2.0]), seed, image, label)
        slopes.append(31 / (int(part[0, -1, 0]) - int(part[0, 0, 0])))
    assert 0.95 < min(slopes) < 1.1 and 1.8 < max(slopes) < 2.3
    assert 1.4 < np.median(slopes) < 1.6


@pytest.mark.parametrize("most, kept", [(0.75, False), (0.8, True)])
def test_a_class_has_at_most_its_share_of_the_labelled_pixels(most: float, kept: bool) -> None:
    label = np.full((40, 32), 255, np.uint8)
    label[:10] = 1  # 320 of 400 labelled pixels: 0.8 of them, a quarter of the crop
    label[10, :] = 2
    label[11:13, :24] = 3
    image = np.zeros((40, 32, 3), np.uint8)
    draws: list[int] = []

    class Counting(np.random.Generator):
        def integers(self, *arguments: Any, **options: Any) -> Any:
            draws.append(1)
            return super().integers(*arguments, **options)

    cropped(image, label, settings(ratio=most, tries=6), Counting(np.random.PCG64(0)))
    assert len(draws) == (1 if kept else 6)  # the only place is drawn again


def test_crops_avoid_the_places_that_one_class_fills() -> None:
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:, 80:] = 1  # only crops from column 57 on have a quarter of class 1 or nearly so
    image = street()[0]

    def shares(tries: int) -> list[float]:
        return [
            float((cut(settings(ratio=0.75, tries=tries), seed, image, label)[1] == 0).mean())
            for seed in range(100)
        ]

    assert sum(share <= 0.75 for share in shares(1)) < 20
    assert sum(share <= 0.75 for share in shares(200)) == 100


def test_a_crop_has_a_labelled_pixel_if_it_can() -> None:
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[0, 0] = 3
    image = street()[0]
    found = [bool((cut(settings(tries=4000), seed, image, label)[1] == 3).any()) for seed in range(5)]
    assert all(found)


def test_an_image_without_a_label_is_cut_at_the_first_place() -> None:
    image, label = street()
    unlabelled = np.broadcast_to(np.uint8(255), label.shape)
    for seed in range(10):
        part, part_label = cut(settings(ratio=0.5), seed, image, unlabelled)
        np.testing.assert_array_equal(part, cut(settings(tries=1), seed, image, label)[0])
        assert (part_label == 255).all()


def test_an_image_smaller_than_the_crop_gets_its_mean_colour_and_no_label() -> None:
    image, label = street()
    image[..., 0] = 100
    part, part_label = cut(settings((64, 50), scale=[0.5, 0.5]), 0, image, label)
    assert part.shape == (50, 64, 3) and part_label.shape == (50, 64)
    inside = np.zeros((50, 64), bool)
    inside[:30, :45] = True  # half of 60 x 90
    assert (part_label[inside] < 9).all() and (part_label[~inside] == 255).all()
    np.testing.assert_array_equal(
        np.unique(part[~inside], axis=0), [[100, 30, 7]]
    )  # the mean of 0..59 is 29.5


@pytest.mark.parametrize("seed", range(5))
def test_a_crop_of_the_whole_image_is_the_image(seed: int) -> None:
    image, label = street()
    part, part_label = cut(settings((WIDTH, HEIGHT)), seed, image, label)
    np.testing.assert_array_equal(part, image)
    np.testing.assert_array_equal(part_label, label)


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.75])
def test_a_crop_without_a_size_has_that_of_the_image_before_it_is_resized(factor: float) -> None:
    image, label = street()
    crop = {"cat_max_ratio": 1.0, "tries": 10}
    own = Augment.model_validate({"flip": False, "jitter": 0.0, "scale": [factor, factor], "crop": crop})
    assert own.seen((WIDTH, HEIGHT)) == (WIDTH, HEIGHT)
    parts = cut(own, 3, image, label)
    for part, expected in zip(
        parts, cut(settings((WIDTH, HEIGHT), scale=[factor, factor]), 3, image, label), strict=True
    ):
        np.testing.assert_array_equal(part, expected)
    assert (parts[1] == 255).any() == (factor < 1)
