"""What a prediction says of every pixel: class, confidence and entropy, without the large logits in memory.

Logits of 2048x1024 pixels and 19 classes are 160 MB, and each step of a softmax goes through all of them.
On a CPU they are made and used a block of pixels at a time instead, which stays in the cache: several times
as fast, with the bits of torch's interpolation where the processor fuses multiplication and addition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, max_pool2d

from intrada.models.base import upsample

HELD = 2**18  # floats that a CPU holds at once: 1 MB
STRIP = 2**12  # floats of a piece of a row, of which two are mixed: 16 KB, half of a core's first cache
# A piece is a multiple of this wide: torch adds up classes 32 pixels at a time, and the rest of a row
# in another order.
ALIGNED = 32

Place = tuple[slice, slice]


class Tile(NamedTuple):
    """Logits (C, r, w) of the pixels at `place`, which whoever reads them may overwrite."""

    place: Place
    logits: Tensor


class PixelPrediction(NamedTuple):
    """label uint8, confidence (the softmax maximum) and entropy float32 in 0..1: each (H, W)."""

    label: Tensor
    confidence: Tensor
    entropy: Tensor

    def cpu(self) -> PixelPrediction:
        """The same in the computer's memory."""
        return PixelPrediction(*(each.cpu() for each in self))


def upsampled_tiles(logits: Tensor, size: tuple[int, int]) -> Iterator[Tile]:
    """`upsample(logits, size)` of one image (1, C, h, w), each pixel in one band; float32.

    On a GPU, and where they are few, all at once.
    """
    logits = logits.float().contiguous()  # networks leave the classes innermost
    classes, (height, width) = logits.shape[1], size
    if logits.device.type != "cpu" or classes * height * width <= HELD:
        yield Tile((slice(0, height), slice(0, width)), upsample(logits, size)[0])
        return
    # Width first: the same bits, for torch interpolates a row within itself before it mixes two of them.
    large = upsample(logits.transpose(1, 2).contiguous(), (classes, width))[0]
    rows, shares = _mixtures(logits.shape[2], height)
    wide = max(1, STRIP // classes // ALIGNED) * ALIGNED
    tall = max(1, HELD // (classes * wide))
    for left in range(0, width, wide):
        columns = slice(left, min(width, left + wide))
        pieces = large[:, :, columns].flatten(1)
        for top in range(0, height, tall):
            place = slice(top, min(height, top + tall))
            # One product and one fused sum for each value, written once.
            mixed = embedding_bag(rows[place], pieces, mode="sum", per_sample_weights=shares[place])
            yield Tile((place, columns), mixed.view(len(mixed), classes, -1).transpose(0, 1))


@lru_cache(maxsize=16)
def _mixtures(height: int, large: int) -> tuple[Tensor, Tensor]:
    """The two rows (large, 2) that each row of the larger image is made of, and their shares, torch's own.

    The lower one first, because it is its product that torch rounds.
    """
    shares = upsample(torch.eye(height)[None, None], (large, height))[0, 0]
    upper = (shares > 0).int().argmax(1)
    rows = torch.stack([(upper + 1).clamp(max=height - 1), upper], 1)
    mixed = shares.gather(1, rows)
    mixed[:, 0] *= rows[:, 0] > rows[:, 1]
    return rows, mixed


def classes_of(prediction: Iterable[Tile], size: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W) uint8: the class of the largest logit, the first of equals."""
    found = torch.empty(size, dtype=torch.uint8, device=device)
    for place, logits in prediction:
        found[place] = _largest(logits)[1]
    return found


def predict_pixels(
    prediction: Iterable[Tile], size: tuple[int, int], device: torch.device, total: Tensor | None = None
) -> PixelPrediction:
    """Class, confidence and entropy of every pixel in one pass.

    total: (C,) float64, to which the probabilities of all pixels are added where it is given. The entropy
    is `log S - sum(e^x * x) / S` over `log C`, with x the logits below their maximum and S = sum(e^x): that
    of entropy.py, with one logarithm a pixel in place of C.
    """
    label = torch.empty(size, dtype=torch.uint8, device=device)
    sums, weighted = (torch.empty(size, device=device) for _ in range(2))
    classes = 2
    for place, logits in prediction:
        classes = len(logits)
        top, label[place] = _largest(logits)
        below = logits.sub_(top)
        powers = below.exp()
        own = powers.sum(0)
        if total is not None:
            total += (powers / own).sum((1, 2), dtype=torch.float64)
        sums[place], weighted[place] = own, powers.mul_(below).sum(0)
    entropy = (sums.log() - weighted / sums) / math.log(classes)
    return PixelPrediction(label, sums.reciprocal(), entropy.clamp_(0.0, 1.0))


def _largest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(C, r, w): the largest of each pixel and the first class that has it, (r, w) float32 and int64."""
    if logits.device.type != "cpu":
        largest: tuple[Tensor, Tensor] = logits.max(0)
        return largest
    # On a CPU `max` goes pixel by pixel, at ten times the time of pooling over an axis called height, which
    # compares eight pixels at once: to it they are channels, the innermost ones.
    pooled = logits.permute(1, 0, 2)[:, :, None].permute(0, 3, 1, 2)
    values, classes = max_pool2d(pooled, (len(logits), 1), return_indices=True)
    return values[:, :, 0, 0], classes[:, :, 0, 0]
