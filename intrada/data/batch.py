"""A batch of images with labels, and its division into micro-batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from intrada.core.config.classes import labelled


class MicroBatchWeight(NamedTuple):
    """Weight of a micro-batch in the mean over the whole batch.

    images: its fraction of the images; pixels: its fraction of the labelled pixels, a scalar tensor, 0 where
    the whole batch has no labelled pixel.
    """

    images: float
    pixels: Tensor


class Batch(NamedTuple):
    """A batch of N images: ids; image (N, 3, H, W) uint8 BGR; label (N, H, W) int64, 0..C-1 or 255 (ignored).

    update_bn_stats: whether these images update the running statistics of batch normalisation in training.
    weight: the weight of a micro-batch; None for a whole batch.
    """

    ids: list[str]
    image: Tensor
    label: Tensor
    update_bn_stats: bool = True
    weight: MicroBatchWeight | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`; only for a whole batch."""
        return self._replace(image=self.image.to(device), label=self.label.to(device))

    def micro_batches(self, count: int, classes: int) -> list[Batch]:
        """Split into `count` micro-batches (views) of equally many images; `count` divides N."""
        if count == 1:
            return [self]
        length = len(self.ids) // count
        cuts = [slice(first, first + length) for first in range(0, len(self.ids), length)]
        micro_batches = [
            self._replace(ids=self.ids[cut], image=self.image[cut], label=self.label[cut]) for cut in cuts
        ]
        pixels = torch.stack([labelled(micro_batch.label, classes).sum() for micro_batch in micro_batches])
        images, weights = 1 / count, pixels / pixels.sum().clamp(min=1)
        if self.weight:
            images, weights = images * self.weight.images, weights * self.weight.pixels
        return [
            micro_batch._replace(weight=MicroBatchWeight(images, weight))
            for micro_batch, weight in zip(micro_batches, weights, strict=True)
        ]
