from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from intrada.models import discriminator


def test_the_parameters_have_the_shapes_of_the_published_discriminator() -> None:
    shapes = {name: tuple(value.shape) for name, value in discriminator.build(19).state_dict().items()}
    channels = [19, 64, 128, 256, 512, 1]
    for i, (before, after) in enumerate(pairwise(channels)):
        assert shapes.pop(f"{2 * i}.weight") == (after, before, 4, 4)
        assert shapes.pop(f"{2 * i}.bias") == (after,)
    assert not shapes
    assert sum(p.numel() for p in discriminator.build(19).parameters()) == 2_781_121


@pytest.mark.parametrize("height, width, size", [(128, 256, (4, 8)), (64, 32, (2, 1)), (100, 130, (3, 4))])
def test_there_is_one_logit_per_32_pixels(height: int, width: int, size: tuple[int, int]) -> None:
    assert discriminator.build(3, width=4)(torch.rand(2, 3, height, width)).shape == (2, 1, *size)


def test_each_convolution_except_the_last_is_followed_by_leaky_relu() -> None:
    layers = discriminator.build(3, width=4)
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.LeakyReLU] * 4 + [nn.Conv2d]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}
