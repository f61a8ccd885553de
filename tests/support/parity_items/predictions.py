"""Predictions of the filled generator in eval mode, for the ranking and evaluation items."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.models.base import SegmentationModel, upsample
from tests.support.parity_items.reference import Reference


@torch.no_grad()
def logits_of(
    reference: Reference, segmenter: SegmentationModel, domain: str, index: int, size: str
) -> Tensor:
    """Return the main logits (1, C, h, w) of an image that is resized to the size named `size`."""
    segmenter.eval()
    logits: Tensor = segmenter(segmenter.normalise(reference.image(domain, index, size)[None]))["main"]
    return logits


def upsampled(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample to (1, C, height, width); size: (width, height)."""
    width, height = size
    return upsample(logits, (height, width))


def within_rounding(reference: Reference, logits: Tensor) -> NDArray[np.bool_]:
    """Return (C, H, W): whether float32 rounding can make the class the argmax; logits (1, C, H, W) float64."""
    margin = 2 * reference.tolerance("forward_f32_abs")
    best = logits.amax(1, keepdim=True)
    near: NDArray[np.bool_] = (logits >= best - margin)[0].numpy()
    return near
