"""The loss functions. The methods weight and add them.

Source: AdvEnt (CVPR 2019), equations 1 (segmentation), 4 (MinEnt), 6 and 7 (adversarial losses).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from intrada.core.config.classes import labelled

# Domain labels in the discriminator's binary cross entropy.
SOURCE = 0.0
TARGET = 1.0

_IGNORED = -100


def cross_entropy(logits: Tensor, labels: Tensor, pixel_weight: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy over the valid pixels, a scalar.

    logits (N, C, H, W), raw; labels (N, H, W) int64. Labels 0..C-1 are valid; every other value (255, -1) is
    ignored. Without a valid pixel the loss and its gradient are 0, where the published code gives nan.
    pixel_weight (N, H, W): factor of each pixel's loss; the mean is still over the number of valid pixels.
    """
    valid: Tensor = labelled(labels, logits.shape[1])
    # reduction="none", because CUDA's kernel that also reduces is not deterministic.
    pixel_losses = functional.cross_entropy(
        logits, torch.where(valid, labels, _IGNORED), ignore_index=_IGNORED, reduction="none"
    )
    if pixel_weight is not None:
        pixel_losses = pixel_losses * pixel_weight
    return pixel_losses.sum() / valid.sum().clamp(min=1)


def domain_bce(logits: Tensor, domain: float) -> Tensor:
    """Return the mean binary cross entropy of a discriminator's logits, a scalar.

    logits: raw outputs of any shape, positive for target; domain: SOURCE or TARGET, the label of all of them.
    """
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, domain))


def minent(information: Tensor) -> Tensor:
    """Return the mean pixel entropy of a batch, a scalar in 0..1 up to rounding.

    information (N, C, H, W): the map of entropy.information_map. Unlike entropy.pixel_entropy, the sum over
    classes is not clamped, because a clamped value has no gradient.
    """
    images, _, height, width = information.shape
    return information.sum() / (images * height * width)
