"""Entropy of predictions: the discriminators' input and the ranking score.

Source: AdvEnt (CVPR 2019), sections 3.1 and 3.2, for the weighted self-information and MinEnt's entropy;
IntraDA (CVPR 2020), section 3.2, for the score of an image. The constants are those of the published code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Keeps log2 finite at p = 0. It underflows in float16, so half precision is converted to float32 first.
TINY = 1e-30


def self_information(probabilities: Tensor) -> Tensor:
    """Return the weighted self-information `-p * log2(p + 1e-30) / log2(C)` of every class at every pixel.

    probabilities (N, C, H, W), in 0..1, summing to 1 over C >= 2 classes. Returns the same shape, float32,
    or float64 if the input is float64. The values are in 0..1/(e * ln C); their sum over C is in 0..1.
    Raises ValueError for fewer than two classes.
    """
    classes = probabilities.shape[1]
    if classes < 2:
        raise ValueError(f"self-information needs at least 2 classes, got shape {tuple(probabilities.shape)}")
    if probabilities.dtype in (torch.float16, torch.bfloat16):
        probabilities = probabilities.float()
    return -probabilities * torch.log2(probabilities + TINY) / math.log2(classes)


def information_map(logits: Tensor) -> Tensor:
    """Return the self-information map of raw logits, the input of AdvEnt's discriminators.

    logits (N, C, H, W). Returns the same shape, dtype and range as `self_information(logits.softmax(1))`,
    equal to it up to rounding. This version makes half as many passes over the map, and saves one map for
    the gradient where autograd would save five. Raises ValueError for fewer than two classes.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"self-information needs at least 2 classes, got shape {tuple(logits.shape)}")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    information: Tensor = _InformationOfLogits.apply(logits)
    return information


class _InformationOfLogits(torch.autograd.Function):
    """The published formula with a gradient derived by hand, which saves only the softmax."""

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
        # The gradient with respect to p, times -log2(C).
        slope = (p / above).mul_(1 / math.log(2)).add_(above.log2_()).mul_(grad)
        inner = (p * slope).sum(1, keepdim=True)
        return slope.sub_(inner).mul_(p).mul_(-1 / math.log2(grad.shape[1]))


def pixel_entropy(information: Tensor) -> Tensor:
    """Return the normalised entropy of each pixel: the self-information summed over the classes.

    information (N, C, H, W). Returns (N, H, W) in 0..1, clamped because the sum has a rounding error.
    """
    return information.sum(1).clamp(0.0, 1.0)


def image_entropy(information: Tensor) -> Tensor:
    """Return the mean pixel entropy of each image, in 0..1.

    information (N, C, H, W). Returns (N,). The published code also takes the mean over classes, so its score
    is this one divided by C. The order of the images is the same.
    """
    return pixel_entropy(information).mean((1, 2))
