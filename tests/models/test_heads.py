"""The classifier heads by name: resolutions, dilations, which maps they read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models import heads
from intrada.models.heads import HEADS, Maps

MAPS = Maps((4, 6, 8, 10), (4, 8, 16, 32))


def features(size: int = 32) -> list[Tensor]:
    """Return maps of an image of `size` x 2 `size` pixels."""
    return [torch.randn(2, channels, size // stride, 2 * size // stride)
            for channels, stride in zip(*MAPS, strict=True)]  # fmt: skip


@pytest.mark.parametrize(
    "name, shape, used",
    [
        ("aspp_sum", (2, 5, 1, 2), {3}),
        ("linear", (2, 5, 1, 2), {3}),
        ("mlp", (2, 5, 8, 16), {0, 1, 2, 3}),
        ("aspp", (2, 5, 8, 16), {0, 3}),
    ],
)
def test_a_head_has_the_resolution_of_the_first_map_that_it_reads(
    name: str, shape: tuple[int, ...], used: set[int]
) -> None:
    torch.manual_seed(0)
    head, maps = heads.build_head(name, MAPS, 12, 5).eval(), features()
    for values in maps:
        values.requires_grad_()
    logits = head(maps)
    logits.square().sum().backward()
    assert logits.shape == shape
    assert {number for number, values in enumerate(maps) if values.grad is not None} == used


@pytest.mark.parametrize("name", HEADS)
def test_every_head_trains_on_a_batch_of_one_image(name: str) -> None:
    """The mean of a map of one image is one value, which batch normalisation refuses in training."""
    head = heads.build_head(name, MAPS, 12, 5).train()
    head([values[:1] for values in features(64)]).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize(
    "name, stride, dilations",
    [
        ("aspp_sum", 8, [6, 12, 18, 24]),  # DeepLab-v2
        ("aspp_sum", 16, [3, 6, 9, 12]),
        ("aspp_sum", 32, [1, 3, 4, 6]),  # 1.5 and 4.5 rounded down
        ("aspp", 16, [1, 6, 12, 18]),  # DeepLab-v3+, table 1: rates 6, 12, 18 at stride 16
        ("aspp", 8, [1, 12, 24, 36]),  # and twice as much at stride 8
    ],
)
def test_the_dilations_are_the_published_ones_scaled_with_the_stride(
    name: str, stride: int, dilations: list[int]
) -> None:
    head = heads.build_head(name, Maps((4, 8), (4, stride)), 12, 5)
    inner = head.branches if name == "aspp" else head
    found = [layer.dilation[0] for layer in inner.modules() if isinstance(layer, nn.Conv2d)]
    assert found == dilations


def test_the_mlp_head_has_segformers_number_of_parameters() -> None:
    """Worked by hand for b0: projections, fusion of 4 x 256 channels with its norm, 19 classes."""
    head = heads.build_head("mlp", Maps((32, 64, 160, 256), (4, 8, 16, 32)), 256, 19)
    projections = (32 + 64 + 160 + 256) * 256 + 4 * 256
    expected = projections + 4 * 256 * 256 + 2 * 256 + 256 * 19 + 19
    assert sum(parameter.numel() for parameter in head.parameters()) == expected == 399_635


@pytest.mark.parametrize("name, kernels", [("aspp_sum", 4), ("linear", 1), ("mlp", 1), ("aspp", 1)])
def test_aux_classifies_the_map_before_the_last(name: str, kernels: int) -> None:
    aux = heads.build_aux(name, MAPS, 5)
    layers = [layer for layer in aux.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.in_channels for layer in layers] == [8] * kernels
    assert aux(features()[2]).shape == (2, 5, 2, 4)


def test_other_names_and_a_single_map_are_refused() -> None:
    with pytest.raises(UserError, match=r"model.options.head: 'fcn'(.|\n)*aspp_sum, mlp, aspp, linear"):
        heads.build_head("fcn", MAPS, 12, 5)
    with pytest.raises(UserError, match=r"out_indices: one feature map"):
        heads.build_aux("mlp", Maps((8,), (16,)), 5)
