"""A random size and a random crop of a training image and its label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from intrada.core.config.augment_blocks import Augment
from intrada.core.config.classes import IGNORE

Pixels = NDArray[np.uint8]
Place = NDArray[np.int64]  # x and y, or width and height, pixels


def cropped(
    image: Pixels, label: Pixels, augment: Augment, random: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Return a crop of the image (H, W, 3) and of its label (H, W), both uint8; without `crop`, return both.

    The image is resized by a factor drawn from `scale` (bicubic, the label nearest, as in preprocess) and cut
    at a random place. Up to `tries` places are drawn, until the crop has a labelled pixel and no class has
    more than `cat_max_ratio` of the labelled pixels; the last place is used. For an image without any label,
    one place is drawn. An image that is smaller than the crop gets pixels of its mean colour at the right and
    at the bottom; their label is 255. Source of the rule on classes: RandomCrop of mmsegmentation, with which
    DAFormer trains.
    """
    if not (crop := augment.crop):
        return image, label
    low, high = augment.scale or (1.0, 1.0)
    sides = np.array([label.shape[1], label.shape[0]])
    scaled = np.maximum(1, np.rint(sides * random.uniform(low, high))).astype(np.int64)
    seen = np.array(augment.seen((label.shape[1], label.shape[0])))
    size = np.minimum(scaled, seen)
    for _ in range(crop.tries if (label != IGNORE).any() else 1):
        corner = random.integers(scaled - size + 1)
        part = _part_of_label(label, scaled, corner, size)
        if _is_mixed(part, crop.cat_max_ratio):
            break
    pixels = _part_of_image(image, scaled, corner, size)
    if (size < seen).any():
        mean = np.rint(image.mean((0, 1), dtype=np.float64)).astype(np.uint8)
        return _padded(pixels, seen, mean), _padded(part, seen, np.array(IGNORE, np.uint8))
    return pixels, part


def _part_of_image(pixels: Pixels, scaled: Place, corner: Place, size: Place) -> Pixels:
    """Return the part at `corner` of `size` of the image resized to `scaled`, all three (x, y).

    Only this part is computed. It has the values that it has in the whole resized image.
    """
    sides = np.array([pixels.shape[1], pixels.shape[0]])
    if (scaled == sides).all():
        first, last = corner, corner + size
        return pixels[first[1] : last[1], first[0] : last[0]]
    begin = corner * sides / scaled
    end = np.minimum((corner + size) * sides / scaled, sides)  # rounding must not put it outside of the image
    box = (*begin.tolist(), *end.tolist())
    whole = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(whole.resize((int(size[0]), int(size[1])), Image.Resampling.BICUBIC, box=box))


def _part_of_label(label: Pixels, scaled: Place, corner: Place, size: Place) -> Pixels:
    """Return the same part of the label. Each pixel has the value at its middle."""
    columns, rows = (
        (2 * np.arange(first, first + count) + 1) * side // (2 * whole)
        for first, count, side, whole in zip(corner, size, label.shape[::-1], scaled, strict=True)
    )
    part: Pixels = label[rows[:, None], columns]
    return part


def _is_mixed(label: Pixels, most: float) -> bool:
    """Return whether there is a labelled pixel, and no class has more than `most` of the labelled pixels."""
    counts = np.bincount(label.ravel(), minlength=IGNORE + 1)[:IGNORE]
    return bool(0 < counts.max() <= most * counts.sum())


def _padded(pixels: Pixels, size: Place, value: Pixels) -> Pixels:
    """Return an image or label of `size`, that of the crop, with `value` at the right and at the bottom."""
    height, width = pixels.shape[:2]
    padded = np.empty((size[1], size[0], *pixels.shape[2:]), np.uint8)
    padded[:] = value
    padded[:height, :width] = pixels
    return padded
