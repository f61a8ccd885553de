"""Resizing of images and labels, with Pillow as in the published code: other libraries' kernels differ.

Source: AdvEnt's published input pipeline (bicubic for images, nearest for labels). Pillow's bicubic
filter is antialiased: it widens with the reduction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (height, width, 3) uint8, bicubic with antialiasing; size = (width, height).

    Channels do not mix, so blue green red goes in and comes out.
    """
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def resize_label(label: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) uint8 -> (height, width) uint8, nearest: no value appears that was not there."""
    return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
