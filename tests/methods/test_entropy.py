from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from intrada.methods import entropy


def pixel(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).view(1, -1, 1, 1)


@pytest.mark.parametrize(
    "probabilities, information",
    [
        ((0.5, 0.5), (0.5, 0.5)),
        ((1.0, 0.0), (0.0, 0.0)),
        # 1/4 * 2 bits and 1/2 * 1 bit, out of log2(3) bits
        ((0.25, 0.25, 0.5), (0.5 / math.log2(3), 0.5 / math.log2(3), 0.5 / math.log2(3))),
        ((0.25, 0.25, 0.25, 0.25), (0.25, 0.25, 0.25, 0.25)),
    ],
)
def test_self_information_by_hand(probabilities: tuple[float, ...], information: tuple[float, ...]) -> None:
    actual = entropy.self_information(pixel(*probabilities))
    torch.testing.assert_close(actual, pixel(*information), rtol=1e-12, atol=1e-15)


def test_certain_pixel_has_a_finite_gradient() -> None:
    certain = pixel(1.0, 0.0).requires_grad_()
    entropy.self_information(certain).sum().backward()
    assert certain.grad is not None and torch.isfinite(certain.grad).all()


def test_image_entropy_is_a_mean_over_pixels_and_a_sum_over_classes() -> None:
    # left pixel: two equal classes, entropy 1; right pixel: certain, entropy 0
    probabilities = torch.tensor([[[0.5, 1.0]], [[0.5, 0.0]]]).unsqueeze(0)
    information = entropy.self_information(probabilities)
    torch.testing.assert_close(entropy.pixel_entropy(information), torch.tensor([[[1.0, 0.0]]]))
    torch.testing.assert_close(entropy.image_entropy(information), torch.tensor([0.5]))


def test_pixel_entropy_of_equal_classes_never_exceeds_one() -> None:
    equal = torch.full((1, 19, 4, 4), 1 / 19 + 1e-7)
    assert entropy.pixel_entropy(entropy.self_information(equal)).max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_converted_to_float32_where_1e_30_does_not_underflow(dtype: torch.dtype) -> None:
    logits = torch.tensor([50.0, -50.0], dtype=dtype).view(1, 2, 1, 1)
    for actual in (entropy.information_map(logits), entropy.self_information(logits.softmax(1))):
        assert actual.dtype == torch.float32 and torch.isfinite(actual).all()


def test_information_map_converts_to_float32_before_the_softmax() -> None:
    logits = torch.tensor([0.1, 1.7, -2.3], dtype=torch.float16).view(1, 3, 1, 1)
    torch.testing.assert_close(
        entropy.information_map(logits), entropy.information_map(logits.float()), rtol=0, atol=0
    )


def test_information_map_equals_the_self_information_of_the_softmax_up_to_rounding() -> None:
    """Compare values and gradients, including probabilities that underflow to 0."""
    logits = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[0, :, 0, 0] = torch.tensor([0.0, 2000.0, -2000.0, 30.0, 1999.0])
    gradient = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    actual = []
    for function in (entropy.information_map, lambda values: entropy.self_information(values.softmax(1))):
        leaf = logits.clone().requires_grad_()
        values = function(leaf)
        values.backward(gradient)
        actual.append((values.detach(), leaf.grad))
    torch.testing.assert_close(*actual, rtol=1e-12, atol=1e-14)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 classes"):
        entropy.self_information(torch.ones(1, 1, 2, 2))
    with pytest.raises(ValueError, match="at least 2 classes"):
        entropy.information_map(torch.ones(1, 1, 2, 2))
