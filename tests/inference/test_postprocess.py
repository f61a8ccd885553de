"""Class, confidence and entropy of pixels, computed in tiles, compared with torch's upsampling and softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from intrada.inference import postprocess
from intrada.methods.entropy import information_map, pixel_entropy
from intrada.models.base import upsample

CPU = torch.device("cpu")
SIZES = [(1, 1), (17, 33), (40, 64), (41, 1), (1, 50), (9, 14), (128, 96)]


@pytest.fixture(params=["whole", "rows", "narrow"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of the whole image, of a row, or of a few pixels."""
    if request.param == "rows":
        monkeypatch.setattr(postprocess, "TILE_FLOATS", 0)
    if request.param == "narrow":
        monkeypatch.setattr(postprocess, "ALIGNMENT", 8)
        monkeypatch.setattr(postprocess, "ROW_FLOATS", 40)
        monkeypatch.setattr(postprocess, "TILE_FLOATS", 120)


def logits(classes: int = 5) -> Tensor:
    return 4 * torch.randn(1, classes, 9, 14, generator=torch.Generator().manual_seed(classes))


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("size", SIZES)
def test_the_tiles_are_the_upsampled_logits_and_cover_each_pixel_once(size: tuple[int, int]) -> None:
    expected, actual, count = upsample(logits(), size)[0], torch.zeros(5, *size), torch.zeros(size)
    for window, values in postprocess.upsampled_tiles(logits(), size):
        actual[(slice(None), *window)] = values
        count[window] += 1
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)  # bit-identical with fused multiply-add
    assert count.unique().tolist() == [1]


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("size", SIZES)
def test_class_confidence_and_entropy_are_those_of_the_softmax(size: tuple[int, int]) -> None:
    expected = upsample(logits(), size)
    actual = postprocess.predict_pixels(postprocess.upsampled_tiles(logits(), size), size, CPU)
    torch.testing.assert_close(actual.confidence, expected.softmax(1).amax(1)[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(actual.entropy, pixel_entropy(information_map(expected))[0], rtol=0, atol=1e-6)
    assert torch.equal(
        actual.label, postprocess.predict_classes(postprocess.upsampled_tiles(logits(), size), size, CPU)
    )
    assert torch.equal(actual.label.long(), expected.max(1).indices[0])


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("classes", [2, 19, 254])
def test_of_equal_logits_the_first_class_is_chosen(classes: int) -> None:
    values = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (1, classes, 12, 20))).float()
    label = postprocess.predict_classes(postprocess.upsampled_tiles(values, (12, 20)), (12, 20), CPU)
    assert np.array_equal(label.numpy(), values[0].numpy().argmax(0))


@pytest.mark.usefixtures("tiles")
def test_the_total_adds_up_the_probabilities_of_all_pixels() -> None:
    total = torch.ones(5, dtype=torch.float64)
    postprocess.predict_pixels(postprocess.upsampled_tiles(logits(), (40, 64)), (40, 64), CPU, total)
    expected = upsample(logits(), (40, 64)).softmax(1).sum((0, 2, 3), dtype=torch.float64)
    torch.testing.assert_close(total - 1, expected, rtol=1e-6, atol=1e-4)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("margin", [0.0, 50.0, 1e4, 1e30])
def test_entropy_is_finite_and_in_its_range_for_any_margin_of_the_logits(margin: float) -> None:
    values = torch.zeros(1, 3, 2, 2)
    values[:, 1] = margin
    entropy = postprocess.predict_pixels(postprocess.upsampled_tiles(values, (6, 8)), (6, 8), CPU).entropy
    torch.testing.assert_close(entropy, torch.full((6, 8), 1.0 if margin == 0 else 0.0))
    assert entropy.min() >= 0 and entropy.max() <= 1
