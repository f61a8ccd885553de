"""The terms of the objective; weights and sums are the methods' business.

Source: AdvEnt (CVPR 2019), equations 1 (segmentation), 4 (MinEnt), 6 and 7 (adversarial losses).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from intrada.core.config.classes import labelled

# What a discriminator should say of a map: its label in the binary cross entropy.
SOURCE = 0.0
TARGET = 1.0

_IGNORED = -100


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over the valid pixels; a scalar.

    logits (N, C, H, W), raw; labels (N, H, W), int64: 0..C-1, every other value (255, -1) is ignored.
    With no valid pixel at all the loss is 0 and so is its gradient, where the published code gives nan.
    """
    valid: Tensor = labelled(labels, logits.shape[1])
    # Not reduced inside the kernel: CUDA's reducing form of this loss is not deterministic.
    each = functional.cross_entropy(
        logits, torch.where(valid, labels, _IGNORED), ignore_index=_IGNORED, reduction="none"
    )
    return each.sum() / valid.sum().clamp(min=1)


def domain_bce(logits: Tensor, domain: float) -> Tensor:
    """Binary cross entropy of a discriminator's logits, with one domain as the label of all; a scalar.

    logits: raw outputs of any shape, positive for target; domain: SOURCE or TARGET.
    """
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))


def minent(information: Tensor) -> Tensor:
    """Mean pixel entropy of a batch, in 0..1; a scalar. information (N, C, H, W), see entropy.py.

    The sum over classes is not clamped as entropy.pixel_entropy does, so its gradient never vanishes.
    """
    images, _, height, width = information.shape
    return information.sum() / (images * height * width)
