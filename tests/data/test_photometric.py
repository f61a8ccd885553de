"""Colour changes of training images: what each does, how often, and with which random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torch import Tensor

from intrada.core.config.augment_blocks import Photometric
from intrada.data.photometric import photometric

ALL: dict[str, Any] = {
    "colour": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.5},
    "gamma": {"exponent": [0.5, 2.0], "probability": 0.5},
    "channel_gain": {"gain": 0.2, "probability": 0.5},
    "blur": {"sigma": [0.2, 1.2], "probability": 0.5},
    "jpeg": {"quality": [20, 90], "probability": 0.5},
    "invert": {"probability": 0.5},
}


def settings(**blocks: Any) -> Photometric:
    return Photometric.model_validate(blocks)


def colour(
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    probability: float = 1.0,
) -> Photometric:
    """Return settings of a colour jitter of these reaches."""
    values = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    return settings(colour=values | {"probability": probability})


def noise(height: int = 24, width: int = 40, low: int = 0, high: int = 256, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (3, height, width), dtype=torch.uint8, generator=generator)


def draw(image: Tensor, chosen: Photometric, seed: int = 0) -> Tensor:
    return photometric(image, chosen, np.random.default_rng(seed))


def numbers(seed: int) -> list[float]:
    """Return the random numbers of an image, in the order of DRAWS."""
    return np.random.default_rng(seed).random(15).tolist()


def in_torchvision(image: Tensor, *steps: Any) -> Tensor:
    """Apply functions of torchvision, (function, *arguments), to a BGR image as RGB in float32."""
    pixels = image.flip(0).float() / 255
    for function, *arguments in steps:
        pixels = function(pixels, *arguments)
    return (pixels * 255).round().clamp(0, 255).to(torch.uint8).flip(0)


def difference(left: Tensor, right: Tensor) -> int:
    return int((left.int() - right.int()).abs().max())


@pytest.mark.parametrize("seed", range(6))
def test_colour_changes_are_those_of_torchvision_where_it_clips_nothing(seed: int) -> None:
    image = noise(low=90, high=150)
    _, *uniform = numbers(seed)[:5]
    brightness, contrast, saturation = (1 - 0.3 + 0.6 * number for number in uniform[:3])
    hue = -0.2 + 0.4 * uniform[3]
    expected = in_torchvision(
        image,
        (reference.adjust_brightness, brightness),
        (reference.adjust_contrast, contrast),
        (reference.adjust_saturation, saturation),
        (reference.adjust_hue, hue),
    )
    assert (
        difference(draw(image, colour(0.3, 0.3, 0.3, 0.2), seed), expected) <= 1
    )  # grey weights: 0.299, 0.2989
    assert difference(expected, image) > 5


@pytest.mark.parametrize("seed", range(6))
def test_the_hue_of_any_colour_is_that_of_torchvision(seed: int) -> None:
    image = noise(seed=seed)
    image[:, :3] = torch.tensor([0, 7, 255], dtype=torch.uint8)[:, None]  # grey: no hue
    turns = -0.5 + numbers(seed)[4]
    assert (
        difference(draw(image, colour(hue=0.5), seed), in_torchvision(image, (reference.adjust_hue, turns)))
        <= 1
    )


@pytest.mark.parametrize("sigma", [0.3, 1.15, 3.0])
def test_blur_is_the_gaussian_of_torchvision_with_a_large_kernel(sigma: float) -> None:
    image, side = noise(30, 44), 2 * math.ceil(4 * sigma) + 1
    blurred = draw(image, settings(blur={"sigma": [sigma, sigma], "probability": 1.0}))
    expected = reference.gaussian_blur(image.float(), [side, side], [sigma, sigma]).round().to(torch.uint8)
    assert difference(blurred, expected) <= 1


def test_blur_of_an_image_narrower_than_the_kernel_keeps_its_mean() -> None:
    flat = torch.full((3, 16, 16), 201, dtype=torch.uint8)
    assert torch.equal(draw(flat, settings(blur={"sigma": [10, 10], "probability": 1})), flat)


@pytest.mark.parametrize(
    "exponent, grey, expected", [(2, 64, 16), (2, 255, 255), (0.5, 64, 128), (1, 100, 100)]
)
def test_gamma_worked_by_hand(exponent: float, grey: int, expected: int) -> None:
    flat = torch.full((3, 16, 16), grey, dtype=torch.uint8)
    changed = draw(flat, settings(gamma={"exponent": [exponent, exponent], "probability": 1}))
    assert changed.unique().tolist() == [expected]


def test_the_logarithm_of_the_exponent_is_uniform() -> None:
    flat = torch.full((3, 16, 16), 64, dtype=torch.uint8)
    chosen = settings(gamma={"exponent": [0.5, 2], "probability": 1})
    drawn = [int(draw(flat, chosen, seed)[0, 0, 0]) for seed in range(400)]
    assert min(drawn) >= 16 and max(drawn) <= 128  # 64 squared, and its root, of 255
    assert 160 < sum(grey > 64 for grey in drawn) < 240  # as many exponents are below 1 as above it


def test_channel_gains_are_one_factor_a_channel() -> None:
    flat = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    for seed in range(20):
        changed = draw(flat, settings(channel_gain={"gain": 0.2, "probability": 1}), seed)
        expected = [round(100 * (0.8 + 0.4 * number)) for number in numbers(seed)[8:11]]
        assert [plane.unique().tolist() for plane in changed] == [[value] for value in expected]


def test_a_negative_is_made_before_the_other_colours() -> None:
    image = torch.tensor([0, 55, 255], dtype=torch.uint8).expand(3, 16, 3).contiguous()
    chosen = {"invert": {"probability": 1}}
    assert draw(image, settings(**chosen))[0, 0].tolist() == [255, 200, 0]
    squared = settings(**chosen, gamma={"exponent": [2, 2], "probability": 1})
    assert draw(image, squared)[0, 0].tolist() == [255, 157, 0]  # 200 * 200 / 255 = 156.9


def test_jpeg_noise_grows_as_its_quality_falls() -> None:
    image = noise(32, 32)

    def error(quality: int) -> float:
        changed = draw(image, settings(jpeg={"quality": [quality, quality], "probability": 1}))
        return float((changed.float() - image.float()).abs().mean())

    assert error(5) > error(50) > error(100) > 0


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.8, 1.0])
@pytest.mark.parametrize("name", ALL)
def test_a_change_is_made_in_the_share_of_its_probability(name: str, probability: float) -> None:
    image, count = noise(16, 16), 500
    # ranges in which no drawn value leaves the image as it is
    never_identity = {"gamma": {"exponent": [3, 4]}, "jpeg": {"quality": [1, 20]}, "blur": {"sigma": [1, 2]}}
    chosen = settings(**{name: ALL[name] | never_identity.get(name, {}) | {"probability": probability}})
    changed = sum(not torch.equal(draw(image, chosen, seed), image) for seed in range(count))
    spread = 4 * math.sqrt(count * probability * (1 - probability))
    assert abs(changed - probability * count) <= spread


def test_a_change_has_the_same_numbers_whatever_else_is_set() -> None:
    image = noise()
    never = {name: block | {"probability": 0.0} for name, block in ALL.items()}
    for name, block in ALL.items():
        chosen = block | {"probability": 1.0}
        alone, among = settings(**{name: chosen}), settings(**(never | {name: chosen}))
        assert torch.equal(draw(image, alone, 3), draw(image, among, 3))


def test_as_many_numbers_are_drawn_whatever_is_set() -> None:
    following = set()
    for chosen in (settings(), settings(**ALL), settings(blur=ALL["blur"])):
        random = np.random.default_rng(5)
        photometric(noise(), chosen, random)
        following.add(random.random())
    assert len(following) == 1


@pytest.mark.parametrize("seed", range(8))
def test_shape_type_and_layout_are_kept_and_the_input_is_not_changed(seed: int) -> None:
    image = noise(32, 48)
    before = image.clone()
    changed = draw(image, settings(**ALL), seed)
    assert (changed.shape, changed.dtype, changed.device) == (image.shape, torch.uint8, image.device)
    assert torch.equal(image, before)
    mirrored = image.flip(2).flip(2)[:, ::2, ::3]  # strides of a view
    assert torch.equal(
        draw(mirrored, settings(**ALL), seed), draw(mirrored.contiguous(), settings(**ALL), seed)
    )


def test_the_number_of_threads_does_not_change_the_result() -> None:
    image, threads = noise(300, 400), torch.get_num_threads()
    always = settings(**{name: block | {"probability": 1} for name, block in ALL.items()})
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(draw(image, always, 1))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_black_and_white_images_stay_in_range_under_the_widest_settings() -> None:
    widest = settings(
        colour={"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5, "probability": 1},
        gamma={"exponent": [0.1, 10], "probability": 1},
        channel_gain={"gain": 1, "probability": 1},
        blur={"sigma": [0.1, 10], "probability": 1},
    )
    for grey in (0, 255):
        flat = torch.full((3, 20, 20), grey, dtype=torch.uint8)
        for seed in range(20):
            assert all(len(plane.unique()) == 1 for plane in draw(flat, widest, seed))
    assert draw(torch.zeros(3, 20, 20, dtype=torch.uint8), widest).max() == 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device; to run: on a machine with one")
def test_a_gpu_gives_the_same_colours() -> None:
    image, chosen = noise(64, 64), settings(**{name: block for name, block in ALL.items() if name != "jpeg"})
    for seed in range(8):
        assert difference(draw(image.cuda(), chosen, seed).cpu(), draw(image, chosen, seed)) <= 1
