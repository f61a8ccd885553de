"""How unsure a prediction is: what the discriminators look at and what the ranking sorts by.

Source: weighted self-information and MinEnt's entropy, AdvEnt (CVPR 2019), sections 3.1 and 3.2; the
image score, IntraDA (CVPR 2020), section 3.2. The constants are those of the published code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Keeps log2 finite at p = 0. Below the smallest float16, which is why half precision is widened first.
TINY = 1e-30


def self_information(probabilities: Tensor) -> Tensor:
    """Weighted self-information `-p * log2(p + 1e-30) / log2(C)` of every class at every pixel.

    probabilities (N, C, H, W), in 0..1, summing to 1 over C >= 2 classes. Returns the same shape, in
    0..1/(e * ln C), which over C sums to 0..1; float32, or float64 if the input is. ValueError for
    fewer than two classes, whose entropy is always 0.
    """
    classes = probabilities.shape[1]
    if classes < 2:
        raise ValueError(f"self-information needs at least 2 classes, got shape {tuple(probabilities.shape)}")
    if probabilities.dtype in (torch.float16, torch.bfloat16):
        probabilities = probabilities.float()
    return -probabilities * torch.log2(probabilities + TINY) / math.log2(classes)


def information_map(logits: Tensor) -> Tensor:
    """Self-information of raw logits (N, C, H, W): the map that a discriminator sees. Same shape.

    `self_information(logits.softmax(1))` but for rounding, in half as many passes over the map, and with
    one map kept for the gradient where autograd would keep five. ValueError for fewer than two classes.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"self-information needs at least 2 classes, got shape {tuple(logits.shape)}")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    information: Tensor = _InformationOfLogits.apply(logits)
    return information


class _InformationOfLogits(torch.autograd.Function):
    """The published formula on the softmax, with its gradient worked out: only the softmax is kept."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        p = logits.softmax(1)
        ctx.save_for_backward(p)
        return (p + TINY).log2_().mul_(p).mul_(-1 / math.log2(logits.shape[1]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        p: Tensor = ctx.saved_tensors[0]
        above = p + TINY
        slope = (p / above).mul_(1 / math.log(2)).add_(above.log2_()).mul_(grad)  # by each p, times -log2(C)
        inner = (p * slope).sum(1, keepdim=True)
        return slope.sub_(inner).mul_(p).mul_(-1 / math.log2(grad.shape[1]))


def pixel_entropy(information: Tensor) -> Tensor:
    """Normalised entropy of each pixel: the map (N, C, H, W) summed over its classes.

    Returns (N, H, W) in 0..1 (the sum's rounding error is cut off at both ends).
    """
    return information.sum(1).clamp(0.0, 1.0)


def image_entropy(information: Tensor) -> Tensor:
    """Mean pixel entropy of each image, in 0..1: map (N, C, H, W) -> (N,).

    The published code takes the mean over classes as well, so its score is this one divided by C; the
    order of images is the same.
    """
    return pixel_entropy(information).mean((1, 2))
