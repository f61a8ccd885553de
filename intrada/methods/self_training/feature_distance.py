"""Distance between the features of the student and those of the network before the training.

It keeps what the initial weights know about things (cars, persons), which a synthetic source teaches badly.
Source: DAFormer (Hoyer et al., CVPR 2022), section 3.3, equations 6 to 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from intrada.models.base import SegmentationModel


@contextmanager
def recorded(network: SegmentationModel, features: list[Tensor]) -> Iterator[None]:
    """Append the last feature map of the encoder, (N, K, h, w), to `features` at each forward pass."""

    def hook(_: nn.Module, __: object, output: Tensor) -> None:
        features.append(output)

    handle = network.last_stage().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def mostly_of(label: Tensor, classes: Tensor, size: tuple[int, int], share: float) -> Tensor:
    """Return the features below which one of `classes` has at least `share` of the pixels, (N, h, w) bool.

    label (N, H, W) int64; classes (K,) int64; size: (h, w) of the features. A feature stands for the pixels
    of its cell, the H / h x W / w pixels at its place (rounded as in adaptive average pooling).
    """
    of_class = (label[:, None] == classes[None, :, None, None]).float()
    return functional.adaptive_avg_pool2d(of_class, size).amax(1) >= share


def distance(features: Tensor, initial: Tensor, mask: Tensor) -> Tensor:
    """Return the mean Euclidean distance over the features where `mask` (N, h, w) is True, a scalar.

    features, initial (N, K, h, w). Without such a feature it is 0, and so is its gradient (the mean of
    nothing, nan, would end the training).
    """
    squares = (features.float() - initial.float()).square().sum(1)
    counted = mask & (squares > 0)  # the root of 0 has an infinite gradient, which times 0 is nan
    roots = torch.where(counted, squares, 1.0).sqrt() * counted
    return roots.sum() / mask.sum().clamp(min=1)
