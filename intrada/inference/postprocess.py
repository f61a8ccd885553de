"""Class, confidence and entropy of every pixel, computed tile by tile without storing the upsampled logits.

Logits of 2048x1024 pixels and 19 classes take 160 MB, and each step of a softmax reads all of them. On a CPU
they are upsampled and used in tiles that fit the cache, which is several times faster. The values equal those
of torch's interpolation bit for bit if the processor has fused multiply-add.
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

TILE_FLOATS = 2**18  # size of a tile on a CPU, float32 values: 1 MB
ROW_FLOATS = 2**12  # size of a row of a tile, float32 values: 16 KB, half of the L1 cache of a core
# The width of a tile is a multiple of this: torch sums the classes of 32 pixels at a time, and those of the
# rest of a row in another order.
ALIGNMENT = 32

Window = tuple[slice, slice]


class Tile(NamedTuple):
    """Logits (C, r, w) float32 of the pixels in `window` (rows, columns). The reader may overwrite them."""

    window: Window
    logits: Tensor


class PixelPrediction(NamedTuple):
    """Maps of (H, W): label uint8; confidence, the softmax maximum, and entropy, float32 in 0..1."""

    label: Tensor
    confidence: Tensor
    entropy: Tensor

    def cpu(self) -> PixelPrediction:
        """Return the maps on the CPU."""
        return PixelPrediction(*(values.cpu() for values in self))


def upsampled_tiles(logits: Tensor, size: tuple[int, int]) -> Iterator[Tile]:
    """Yield `upsample(logits, size)` of one image (1, C, h, w) as float32 tiles that cover each pixel once.

    size: (H, W). On a GPU, and for a small image, it is a single tile.
    """
    logits = logits.float().contiguous()  # networks return channels_last
    classes, (height, width) = logits.shape[1], size
    if logits.device.type != "cpu" or classes * height * width <= TILE_FLOATS:
        yield Tile((slice(0, height), slice(0, width)), upsample(logits, size)[0])
        return
    # Width first: the bits are the same, because torch interpolates within a row before it blends two rows.
    wide_logits = upsample(logits.transpose(1, 2).contiguous(), (classes, width))[0]
    pairs, weights = _row_pairs(logits.shape[2], height)
    tile_width = max(1, ROW_FLOATS // classes // ALIGNMENT) * ALIGNMENT
    tile_height = max(1, TILE_FLOATS // (classes * tile_width))
    for left in range(0, width, tile_width):
        columns = slice(left, min(width, left + tile_width))
        strip = wide_logits[:, :, columns].flatten(1)
        for top in range(0, height, tile_height):
            rows = slice(top, min(height, top + tile_height))
            # embedding_bag takes one product and one fused multiply-add for each value, and writes it once.
            mixed = embedding_bag(pairs[rows], strip, mode="sum", per_sample_weights=weights[rows])
            yield Tile((rows, columns), mixed.view(len(mixed), classes, -1).transpose(0, 1))


@lru_cache(maxsize=16)
def _row_pairs(height: int, large: int) -> tuple[Tensor, Tensor]:
    """Return the two source rows of each row of the larger image, and torch's weights for them: (large, 2).

    The lower row comes first, because torch rounds the product of that row.
    """
    weights = upsample(torch.eye(height)[None, None], (large, height))[0, 0]
    upper = (weights > 0).int().argmax(1)
    rows = torch.stack([(upper + 1).clamp(max=height - 1), upper], 1)
    pair_weights = weights.gather(1, rows)
    pair_weights[:, 0] *= rows[:, 0] > rows[:, 1]
    return rows, pair_weights


def predict_classes(tiles: Iterable[Tile], size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the class of the largest logit of each pixel, (H, W) uint8; of equal logits the first class."""
    label = torch.empty(size, dtype=torch.uint8, device=device)
    for window, logits in tiles:
        label[window] = _max(logits)[1]
    return label


def predict_pixels(
    tiles: Iterable[Tile], size: tuple[int, int], device: torch.device, total: Tensor | None = None
) -> PixelPrediction:
    """Return class, confidence and entropy of every pixel, in one pass over the tiles of an (H, W) image.

    total: (C,) float64; if given, the probabilities of all pixels are added to it. The entropy is
    `(log S - sum(e^x * x) / S) / log C`, with x the logits minus their maximum and S = sum(e^x). It equals
    that of entropy.py and needs one logarithm a pixel instead of C.
    """
    label = torch.empty(size, dtype=torch.uint8, device=device)
    sums, weighted = (torch.empty(size, device=device) for _ in range(2))
    classes = 2
    for window, logits in tiles:
        classes = len(logits)
        largest, label[window] = _max(logits)
        shifted = logits.sub_(largest)
        powers = shifted.exp()
        tile_sums = powers.sum(0)
        if total is not None:
            total += (powers / tile_sums).sum((1, 2), dtype=torch.float64)
        sums[window], weighted[window] = tile_sums, powers.mul_(shifted).sum(0)
    entropy = (sums.log() - weighted / sums) / math.log(classes)
    return PixelPrediction(label, sums.reciprocal(), entropy.clamp_(0.0, 1.0))


def _max(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return `logits.max(0)` of (C, r, w): the maximum, float32, and the first class that has it, int64."""
    if logits.device.type != "cpu":
        largest: tuple[Tensor, Tensor] = logits.max(0)
        return largest
    # On a CPU `max` takes ten times as long as max pooling with the classes as height and the pixels as
    # channels, innermost: pooling compares eight pixels at once.
    pooled = logits.permute(1, 0, 2)[:, :, None].permute(0, 3, 1, 2)
    values, classes = max_pool2d(pooled, (len(logits), 1), return_indices=True)
    return values[:, :, 0, 0], classes[:, :, 0, 0]
