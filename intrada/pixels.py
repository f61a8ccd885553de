"""What a prediction says of every pixel: class, confidence and entropy, without the large logits in memory.

Logits of 2048x1024 pixels and 19 classes are 160 MB, and each step of a softmax goes through all of them.
On a CPU they are made and used a piece of a row at a time instead, which stays in the cache: several times
as fast, with the bits of torch's interpolation where the processor fuses multiplication and addition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.models.base import upsample

WHOLE = 2**18  # floats that a CPU holds at once where an image has no more: 1 MB
STRIP = 2**16  # floats of a piece of a row, of which four are in use: what the cache of one core holds

Place = tuple[slice, slice]


class Band(NamedTuple):
    """Logits (C, r, w) of the pixels at `place`, which whoever reads them may overwrite."""

    place: Place
    logits: Tensor


class Pixels(NamedTuple):
    """label uint8, confidence (the softmax maximum) and entropy float32 in 0..1: each (H, W)."""

    label: Tensor
    confidence: Tensor
    entropy: Tensor

    def cpu(self) -> Pixels:
        """The same in the computer's memory."""
        return Pixels(*(each.cpu() for each in self))


def bands(logits: Tensor, size: tuple[int, int]) -> Iterator[Band]:
    """`upsample(logits, size)` of one image (1, C, h, w), each pixel in one band; float32.

    On a GPU, and where they are few, all at once. A band is overwritten when the next one is asked for.
    """
    logits = logits.float().contiguous()  # networks leave the classes innermost
    classes, (height, width) = logits.shape[1], size
    if logits.device.type != "cpu" or classes * height * width <= WHOLE:
        yield Band((slice(0, height), slice(0, width)), upsample(logits, size)[0])
        return
    # Width first: the same bits, for torch interpolates a row within itself before it mixes two of them.
    rows = upsample(logits.transpose(1, 2).contiguous(), (classes, width))[0]
    mixed = _mixtures(logits.shape[2], height)
    wide = max(1, STRIP // classes)
    for start in range(0, width, wide):
        columns = slice(start, min(width, start + wide))
        pieces = list(rows[:, :, columns, None].transpose(2, 3).contiguous())
        band = torch.empty_like(pieces[0])
        arrays, target = [piece.numpy() for piece in pieces], band.numpy()
        for row, (upper, share, lower, rest) in enumerate(mixed):
            np.multiply(arrays[lower], rest, out=target)  # torch takes longer to begin
            band.add_(pieces[upper], alpha=share)  # in one rounding, which numpy cannot
            yield Band((slice(row, row + 1), columns), band)


@lru_cache(maxsize=16)
def _mixtures(height: int, large: int) -> list[tuple[int, float, int, np.float32]]:
    """The two rows that each row of the larger image is made of, with their shares, from torch itself."""
    shares = upsample(torch.eye(height)[None, None], (large, height))[0, 0].numpy()
    upper = (shares > 0).argmax(1)
    lower = np.minimum(upper + 1, height - 1)
    every = np.arange(large)
    rest = np.where(lower > upper, shares[every, lower], np.float32(0))
    return list(zip(upper.tolist(), shares[every, upper].tolist(), lower.tolist(), rest, strict=True))


def classes_of(prediction: Iterable[Band], size: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W) uint8: the class of the largest logit, the first of equals."""
    found = torch.empty(size, dtype=torch.uint8, device=device)
    if device.type != "cpu":
        for place, logits in prediction:
            found[place] = logits.max(0).indices
        return found
    array = found.numpy()
    for place, logits in prediction:
        values = logits.numpy()
        array[place] = _first(values, values.max(0))
    return found


def survey(
    prediction: Iterable[Band], size: tuple[int, int], device: torch.device, total: Tensor | None = None
) -> Pixels:
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
        top = logits.amax(0)
        if device.type == "cpu":
            label.numpy()[place] = _first(logits.numpy(), top.numpy())
        else:
            label[place] = logits.max(0).indices
        below = logits.sub_(top)
        powers = below.exp()
        own = powers.sum(0)
        if total is not None:
            total += (powers / own).sum((1, 2), dtype=torch.float64)
        sums[place], weighted[place] = own, powers.mul_(below).sum(0)
    entropy = (sums.log() - weighted / sums) / math.log(classes)
    return Pixels(label, sums.reciprocal(), entropy.clamp_(0.0, 1.0))


def _first(logits: NDArray[np.float32], top: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(C, r, w) and their maximum (r, w): the first class that has it. Argmax takes ten times as long."""
    equal = np.equal(logits, top).view(np.uint8)
    equal *= _descending(len(logits))
    found: NDArray[np.uint8] = np.uint8(len(logits) - 1) - equal.max(0)
    return found


@lru_cache(maxsize=4)
def _descending(count: int) -> NDArray[np.uint8]:
    """(count, 1, 1): count - 1, ..., 1, 0."""
    return np.arange(count - 1, -1, -1, dtype=np.uint8)[:, None, None]
