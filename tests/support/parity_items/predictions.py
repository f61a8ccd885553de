"""Predictions of the filled generator in eval mode, for the items that rank or evaluate with them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.models.base import SegmentationModel, upsample
from tests.support.parity_items.reference import Reference


@torch.no_grad()
def logits_of(reference: Reference, segmenter: SegmentationModel, part: str, index: int, size: str) -> Tensor:
    """Main logits (1, C, h, w), at the network's resolution, of one image fed at the size of that name."""
    segmenter.eval()
    image: Tensor = segmenter(segmenter.normalise(reference.image(part, index, size)[None]))["main"]
    return image


def enlarged(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, height, width) for size (width, height)."""
    width, height = size
    return upsample(logits, (height, width))


def within_rounding(reference: Reference, logits: Tensor) -> NDArray[np.bool_]:
    """(C, H, W): the classes that rounding to float32 may make the argmax of float64 logits (1, C, H, W)."""
    margin = 2 * reference.tolerance("forward_f32_abs")
    best = logits.amax(1, keepdim=True)
    near: NDArray[np.bool_] = (logits >= best - margin)[0].numpy()
    return near
