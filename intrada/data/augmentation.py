"""Random changes of training images: a flip, contrast and brightness."""

from __future__ import annotations

import numpy as np

from intrada.core.config.augment_blocks import Augment


def augmented(
    image: np.ndarray, label: np.ndarray, augment: Augment, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Apply a random horizontal flip, and a random contrast and brightness, as `augment` says.

    image (H, W, 3) uint8; label (H, W) uint8. flip: mirrors both with probability 1/2. jitter: contrast and
    brightness of the image are multiplied by factors drawn from 1 - jitter to 1 + jitter. Returns both.
    """
    if augment.flip and random.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    if augment.jitter:
        contrast, brightness = random.uniform(1 - augment.jitter, 1 + augment.jitter, 2)
        mean = image.mean(dtype=np.float32)
        image = (image - mean) * np.float32(contrast) + mean * np.float32(brightness)
        image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return image, label
