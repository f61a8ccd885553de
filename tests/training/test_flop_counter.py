"""The quick shapes of operations on the meta device; test_cost_estimate.py counts whole iterations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrada.training.flop_counter import META_KERNELS, FlopCounter

ATEN = torch.ops.aten
IMAGES = torch.randn(2, 3, 4, 5)
TOKENS, TOKEN, MATRIX = torch.randn(2, 6, 8), torch.randn(8), torch.randn(8, 3)
CHANNEL, ROWS = torch.ones(3), torch.ones(2, 6, 1)
# What a training calls each operation with
CALLS: dict[Any, tuple[Any, ...]] = {
    ATEN.native_batch_norm.default: (IMAGES, CHANNEL, CHANNEL, CHANNEL.clone(), CHANNEL.clone(), True, 0.1, 1e-5),
    ATEN.native_batch_norm_backward.default: (
        IMAGES, IMAGES, CHANNEL, CHANNEL, CHANNEL, CHANNEL, CHANNEL, True, 1e-5, [True, True, False],
    ),
    ATEN.native_layer_norm.default: (TOKENS, [8], TOKEN, TOKEN, 1e-5),
    ATEN.native_layer_norm_backward.default: (
        TOKENS, TOKENS, [8], ROWS, ROWS, TOKEN, TOKEN, [True, False, True],
    ),
    ATEN.addmm.default: (CHANNEL, TOKENS[0], MATRIX),
    ATEN.gelu.default: (TOKENS,),
    ATEN.gelu_backward.default: (TOKENS, TOKENS),
    ATEN.sqrt.default: (CHANNEL,),
    ATEN._safe_softmax.default: (TOKENS, -1),
    ATEN.add_.Tensor: (TOKENS.clone(), TOKEN),
    ATEN.addcdiv_.default: (CHANNEL.clone(), CHANNEL, CHANNEL),
    ATEN.addcmul_.default: (CHANNEL.clone(), CHANNEL, CHANNEL),
    ATEN.lerp_.Scalar: (CHANNEL.clone(), CHANNEL, 0.5),
}  # fmt: skip


def described(results: Any) -> list[Any]:
    """Return the shape, type and strides of each result."""
    found = results if isinstance(results, tuple) else (results,)
    return [None if each is None else (each.shape, each.dtype, each.stride()) for each in found]


@pytest.mark.parametrize("operation", META_KERNELS, ids=str)
def test_a_quick_shape_is_that_of_the_computed_result(operation: Any) -> None:
    values = CALLS[operation]
    on_meta = [value.to("meta") if isinstance(value, Tensor) else value for value in values]
    with FlopCounter():
        quick = operation(*on_meta)
    assert described(quick) == described(operation(*values))


def test_the_flops_of_a_grouped_convolution_take_its_groups_into_account() -> None:
    images = torch.zeros(2, 6, 8, 8, requires_grad=True)
    # 2 FLOPs (multiply, add) for each output pixel, output channel and weight of a 1 x 3 x 3 filter
    forward = 2 * (2 * 8 * 8) * 6 * (3 * 3)
    with FlopCounter() as counter:
        nn.Conv2d(6, 6, 3, padding=1, groups=6)(images).sum().backward()
    assert counter.flop == 3 * forward  # the gradients of images and weights cost as much as the output
