"""The gallery's pictures: what they show, and that they never grow beyond the page's size."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from intrada.evaluation.reporting import gallery, samples
from intrada.evaluation.reporting.samples import Sample

PALETTE = [10, 20, 30, 200, 100, 0] + [0] * 762
MODELS = ("source", "inter", "intra")


def sample(
    name: str = "a", *, size: tuple[int, int] = (8, 16), labelled: bool = True, noise: int = 0
) -> Sample:
    """height, width; noise: the seed of random pixels, which compress worst; 0: flat pictures."""
    random = np.random.default_rng(noise)
    high = 256 if noise else 1
    image = random.integers(0, high, (*size, 3), np.uint8)
    grey, indices = random.integers(0, high, (2, *size), np.uint8)
    right = {"source": 50.0, "inter": 60.0, "intra": 55.5} if labelled else {}
    return Sample(
        name, "easy", 0.25, image, grey, dict.fromkeys(MODELS, indices), indices if labelled else None, right
    )


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def test_an_image_has_a_picture_for_every_layer_and_none_for_a_missing_label() -> None:
    built = gallery.build([sample("a"), sample("b", labelled=False)], PALETTE)
    names = [layer["name"] for layer in built["layers"]]
    assert names == ["image", "entropy", "source", "inter", "intra", "label"]
    first, second = built["images"]
    assert all(first["layers"]) and second["layers"][5] is None and all(second["layers"][:5])
    assert (first["right"], first["gain"]) == (55.5, -4.5) and second["right"] is None


def test_maps_keep_their_classes_colours_exactly() -> None:
    one = sample()
    one.predictions["intra"][:, 8:] = 1
    picture = decoded(gallery.build([one], PALETTE)["images"][0]["layers"][4])
    assert picture.convert("RGB").getpixel((0, 0)) == (10, 20, 30)
    assert picture.convert("RGB").getpixel((15, 7)) == (200, 100, 0)


def test_large_images_are_shown_at_512_pixels_and_class_indices_are_not_mixed() -> None:
    indices = np.zeros((1024, 2048), np.uint8)
    indices[:, 1001:] = 18
    shown = samples.small(sample(size=(1024, 2048)), gallery.SIDES[0])
    assert shown.image.shape == (256, 512, 3) and shown.uncertainty.shape == (256, 512)
    large = sample(size=(1024, 2048))
    large.predictions["intra"][:] = indices
    assert set(np.unique(samples.small(large, 512).predictions["intra"])) == {0, 18}


def test_pictures_shrink_until_they_keep_to_the_budget() -> None:
    shown = [sample(str(seed), size=(256, 512), noise=seed) for seed in (1, 2)]
    built = gallery.build(shown, PALETTE, budget=400_000)
    addresses = [address for image in built["images"] for address in image["layers"]]
    assert 100_000 < sum(map(len, addresses)) <= 400_000
    assert max(decoded(address).width for address in addresses) < 512


def test_the_worst_pictures_there_can_be_keep_the_page_below_20_mb() -> None:
    """As many images as a report may have, of pure noise, at the smallest size, with ten models."""
    worst = gallery.build([sample(size=(64, 64), noise=1)], PALETTE)["images"][0]["layers"]
    photograph, entropy, prediction, *_ = worst
    assert samples.MOST * (len(photograph) + len(entropy) + 11 * len(prediction)) <= gallery.BUDGET <= 16e6


def test_24_street_images_of_2048x1024_keep_their_full_size_on_the_page() -> None:
    """Blobs of some 30 pixels, as a prediction has them, with grain on the photograph: far from the bound."""
    random = np.random.default_rng(1)
    coarse = random.integers(0, 19, (32, 64), np.uint8)
    indices = np.asarray(Image.fromarray(coarse).resize((2048, 1024), Image.Resampling.NEAREST))
    grain = random.normal(0, 8, (1024, 2048, 3))
    image = (indices[..., None] * 12 + 10 + grain).clip(0, 255).astype(np.uint8)
    street = Sample("a", "easy", 0.2, image, image[..., 0], dict.fromkeys(MODELS, indices), indices, {})
    built = gallery.build([samples.small(street, gallery.SIDES[0])] * 3, PALETTE)
    assert decoded(built["images"][0]["layers"][0]).size == (512, 256)
    assert 24 * sum(map(len, built["images"][0]["layers"])) <= gallery.BUDGET


@pytest.mark.parametrize("labelled, words", [(True, "fewest right pixels (intra)"), (False, "")])
def test_images_without_labels_cannot_be_ordered_by_them(labelled: bool, words: str) -> None:
    found = dict(gallery.orders(gallery.build([sample(labelled=labelled)], PALETTE)))
    assert ("right up" in found) == labelled and words in found.get("right up", "")
    assert all(re.fullmatch(r"\w+ (up|down)", key) for key in found)


def test_right_pixels_are_counted_where_there_is_a_label() -> None:
    label = np.array([[0, 0, 255, 255], [1, 1, 255, 255]], np.uint8)
    predictions = {"inter": np.array([[0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)}
    assert samples._right(predictions, label) == {"inter": 50}
    assert samples._right(predictions, np.full_like(label, 255)) == {}


@pytest.mark.parametrize("count, names", [(1, "ae"), (2, "abde"), (3, "abcde"), (9, "abcde")])
def test_the_ends_are_the_easiest_and_the_hardest_each_once(count: int, names: str) -> None:
    found = samples.ends([sample(name) for name in "abcde"], count)
    assert "".join(one.name for one in found) == names
