"""The gallery's images: their content, and their limit in size."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from intrada.evaluation.reporting import gallery, pictures, samples
from intrada.evaluation.reporting.samples import Sample

PALETTE = [10, 20, 30, 200, 100, 0] + [0] * 762
MODELS = ("source", "inter", "intra")


def sample(
    name: str = "a", *, size: tuple[int, int] = (8, 16), labelled: bool = True, noise: int = 0
) -> Sample:
    """Return a sample of `size` (height, width). noise: the seed of random pixels, or 0 for flat images."""
    random = np.random.default_rng(noise)
    high = 256 if noise else 1
    image = random.integers(0, high, (*size, 3), np.uint8)
    grey, indices = random.integers(0, high, (2, *size), np.uint8)
    accuracy = {"source": 50.0, "inter": 60.0, "intra": 55.5} if labelled else {}
    return Sample(
        name,
        "easy",
        0.25,
        image,
        grey,
        dict.fromkeys(MODELS, indices),
        indices if labelled else None,
        accuracy,
    )


def decode(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def test_an_image_has_a_url_for_each_layer_but_a_missing_label() -> None:
    first, second = gallery.build([sample("a"), sample("b", labelled=False)], PALETTE).compared
    assert list(first.layers) == ["image", "entropy", "source", "inter", "intra", "label"]
    assert list(second.layers) == ["image", "entropy", "source", "inter", "intra"]
    assert (first.gain, second.gain) == (5.5, None) and first.rates == first.accuracy
    assert list(first.marks) == ["source", "inter", "intra"], "wrong pixels"
    assert list(second.marks) == ["inter", "intra"] and second.rates == {"inter": 0, "intra": 0}, (
        "changed ones"
    )


def test_maps_have_exactly_the_colours_of_the_classes() -> None:
    two_classes = sample()
    two_classes.predictions["intra"][:, 8:] = 1
    picture = decode(gallery.build([two_classes], PALETTE).compared[0].layers["intra"])
    assert picture.convert("RGB").getpixel((0, 0)) == (10, 20, 30)
    assert picture.convert("RGB").getpixel((15, 7)) == (200, 100, 0)


def test_wrong_pixels_are_red_and_pixels_without_a_label_dark_grey() -> None:
    image, prediction = np.full((16, 48, 3), 200, np.uint8), np.zeros((16, 48), np.uint8)
    label = prediction.copy()
    label[:, 16:32], label[:, 32:] = 1, 255
    marked = np.asarray(decode(pictures.mistakes(image, prediction, label)).convert("RGB")).astype(int)
    right, wrong, unknown = marked[8, 6], marked[8, 24], marked[8, 42]
    assert right.min() > 200 and np.ptp(right) < 8
    assert wrong[0] > 180 and wrong[1:].max() < 110
    assert unknown.max() < 150 and np.ptp(unknown) < 20


def test_eight_images_are_compared_side_by_side_and_the_others_follow() -> None:
    built = gallery.build([sample(name) for name in "abcdefghij"], PALETTE)
    assert "".join(entry.name for entry in built.compared) == "abcdghij"
    assert "".join(entry.name for entry in built.others) == "ef" and not built.others[0].marks


def test_large_images_are_shown_at_512_pixels_and_class_indices_are_not_mixed() -> None:
    indices = np.zeros((1024, 2048), np.uint8)
    indices[:, 1001:] = 18
    shown = samples.downscale(sample(size=(1024, 2048)), gallery.SIDES[0])
    assert shown.image.shape == (256, 512, 3) and shown.entropy_map.shape == (256, 512)
    large = sample(size=(1024, 2048))
    large.predictions["intra"][:] = indices
    assert set(np.unique(samples.downscale(large, 512).predictions["intra"])) == {0, 18}


def test_images_are_scaled_down_to_the_budget() -> None:
    shown = [sample(str(seed), size=(256, 512), noise=seed) for seed in (1, 2)]
    built = gallery.build(shown, PALETTE, budget=400_000)
    urls = [url for image in built.compared for url in [*image.layers.values(), *image.marks.values()]]
    assert 100_000 < sum(map(len, urls)) <= 400_000
    assert max(decode(url).width for url in urls) < 512


def test_the_largest_possible_images_keep_the_page_below_20_mb() -> None:
    """The most images of a report, of noise, at the smallest size, with ten models."""
    worst = gallery.build([sample(size=(64, 64), noise=1)], PALETTE).compared[0]
    photograph, entropy, prediction = (len(worst.layers[name]) for name in ("image", "entropy", "intra"))
    layers = samples.MAX_SAMPLES * (photograph + entropy + 11 * prediction)
    marks = 2 * gallery.ENDS * 10 * max(map(len, worst.marks.values()))
    assert layers + marks <= gallery.BUDGET <= 16e6


def test_24_street_images_of_2048x1024_are_shown_at_512_pixels() -> None:
    """The maps have blobs of about 30 pixels, as predictions have; the photograph has added noise."""
    random = np.random.default_rng(1)
    coarse = random.integers(0, 19, (32, 64), np.uint8)
    indices = np.asarray(Image.fromarray(coarse).resize((2048, 1024), Image.Resampling.NEAREST))
    noise = random.normal(0, 8, (1024, 2048, 3))
    image = (indices[..., None] * 12 + 10 + noise).clip(0, 255).astype(np.uint8)
    street = Sample("a", "easy", 0.2, image, image[..., 0], dict.fromkeys(MODELS, indices), indices, {})
    (entry,) = gallery.build([samples.downscale(street, gallery.SIDES[0])], PALETTE).compared
    assert decode(entry.layers["image"]).size == (512, 256)
    assert 24 * entry.characters <= gallery.BUDGET


@pytest.mark.parametrize("labelled, description", [(True, "lowest pixel accuracy (intra)"), (False, "")])
def test_images_without_labels_have_no_order_by_accuracy(labelled: bool, description: str) -> None:
    orders = dict(gallery.build([sample(labelled=labelled)], PALETTE).orders())
    assert ("accuracy up" in orders) == labelled and description in orders.get("accuracy up", "")
    assert all(re.fullmatch(r"\w+ (up|down)", key) for key in orders)


def test_accuracy_counts_the_labelled_pixels_only() -> None:
    label = np.array([[0, 0, 255, 255], [1, 1, 255, 255]], np.uint8)
    predictions = {"inter": np.array([[0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)}
    assert samples._accuracy(predictions, label) == {"inter": 50}
    assert samples._accuracy(predictions, np.full_like(label, 255)) == {}


@pytest.mark.parametrize("count, names", [(1, "ae"), (2, "abde"), (3, "abcde"), (9, "abcde")])
def test_the_extremes_are_the_easiest_and_the_hardest_without_duplicates(count: int, names: str) -> None:
    extremes = samples.easiest_and_hardest([sample(name) for name in "abcde"], count)
    assert "".join(extreme.name for extreme in extremes) == names
