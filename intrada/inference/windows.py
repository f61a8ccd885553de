"""Inference on overlapping windows of a large image, of the size that a network was trained on.

A network that was trained on crops has seen no larger image. Its logits for each window are averaged with
weights that fall to the border of the window, where the network sees half of the surroundings only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from intrada.core.config.window_block import Window
from intrada.models.base import upsample


def starts(length: int, window: int, stride: int) -> list[int]:
    """Return where windows begin along a side of `length` pixels; the last one ends at its end."""
    if window >= length:
        return [0]
    return [*range(0, length - window, stride), length - window]


def border_weights(size: tuple[int, int]) -> Tensor:
    """Return the weight of each pixel of a window, (H, W) float32 in 0..1; size: (H, W).

    The product, over both axes, of the distance to the nearer end of the window (1 at the outermost pixel),
    divided by the largest product.
    """
    rows, columns = (_distances(length) for length in size)
    weights = rows[:, None] * columns[None]
    return weights / weights.max()


def logits(predict: Callable[[Tensor], Tensor], images: Tensor, window: Window) -> Tensor:
    """Return the logits of images, averaged over all windows: (N, C, H, W) float32, H x W as the images.

    predict: images (n, 3, h, w) -> logits (n, C, h', w') of any resolution; images: (N, 3, H, W). If one
    window covers the images, the result is that of `predict`, at its resolution.
    """
    height, width = images.shape[2:]
    if window.size[0] >= width and window.size[1] >= height:
        return predict(images)
    total: Tensor | None = None
    weights = images.new_zeros((height, width), dtype=torch.float32)
    for rows, columns in _places((height, width), window):
        part = images[:, :, rows, columns]
        size = (part.shape[2], part.shape[3])
        values = upsample(predict(part).float(), size)
        of_window = border_weights(size).to(images.device)
        if total is None:
            total = values.new_zeros((len(images), values.shape[1], height, width))
        total[:, :, rows, columns] += values * of_window
        weights[rows, columns] += of_window
    if total is None:
        raise ValueError(f"no window covers images of shape {tuple(images.shape)}")
    return total / weights


def _places(size: tuple[int, int], window: Window) -> Iterator[tuple[slice, slice]]:
    height, width = size
    for top in starts(height, window.size[1], window.stride[1]):
        for left in starts(width, window.size[0], window.stride[0]):
            yield slice(top, top + window.size[1]), slice(left, left + window.size[0])


def _distances(length: int) -> Tensor:
    numbers = torch.arange(1, length + 1, dtype=torch.float32)
    return torch.minimum(numbers, numbers.flip(0))
