"""A batch of images with labels, and its division into micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
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
    easy: for each image whether it is an easy one; empty where nothing depends on it.
    pixel_weight: the weight of each pixel in the cross entropy, (N, H, W) float32; None: 1 for all.
    view: of target images that a teacher has labelled: what the student sees of them.
    """

    ids: list[str]
    image: Tensor
    label: Tensor
    update_bn_stats: bool = True
    weight: MicroBatchWeight | None = None
    easy: Sequence[bool] = ()
    pixel_weight: Tensor | None = None
    view: StudentView | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`; only for a whole batch as it was read."""
        image, label = (values.to(device, non_blocking=True) for values in (self.image, self.label))
        return self._replace(image=image, label=label)

    def pinned(self) -> Batch:
        """Return the batch in pinned memory, from which a GPU copies while the processor goes on."""
        return self._replace(image=self.image.pin_memory(), label=self.label.pin_memory())

    def micro_batches(self, count: int, classes: int) -> list[Batch]:
        """Split into `count` micro-batches (views) of equally many images; `count` divides N."""
        if count == 1:
            return [self]
        length = len(self.ids) // count
        cuts = [slice(first, first + length) for first in range(0, len(self.ids), length)]
        micro_batches = [self._part(cut) for cut in cuts]
        pixels = torch.stack([labelled(micro_batch.label, classes).sum() for micro_batch in micro_batches])
        images, weights = 1 / count, pixels / pixels.sum().clamp(min=1)
        if self.weight:
            images, weights = images * self.weight.images, weights * self.weight.pixels
        views = self.view.micro_batches(count, classes) if self.view else [None] * count
        return [
            micro_batch._replace(weight=MicroBatchWeight(images, weight), view=view)
            for micro_batch, weight, view in zip(micro_batches, weights, views, strict=True)
        ]

    def _part(self, cut: slice) -> Batch:
        pixel_weight = None if self.pixel_weight is None else self.pixel_weight[cut]
        return self._replace(
            ids=self.ids[cut],
            image=self.image[cut],
            label=self.label[cut],
            easy=self.easy[cut],
            pixel_weight=pixel_weight,
        )


class StudentView(NamedTuple):
    """What a student sees of target images, with the labels of the teacher.

    mixed: the images with other colours and, if there is mixing, with pixels of other images; masked: the
    images with hidden blocks, without mixing; None if there is no masked consistency; confident: the share of
    the pixels whose probability reaches the threshold, in the whole batch, a scalar.
    """

    mixed: Batch
    masked: Batch | None
    confident: Tensor

    def micro_batches(self, count: int, classes: int) -> list[StudentView]:
        """Split into `count` views of equally many images."""
        masked = self.masked.micro_batches(count, classes) if self.masked else [None] * count
        pairs = zip(self.mixed.micro_batches(count, classes), masked, strict=True)
        return [StudentView(*pair, self.confident) for pair in pairs]
