"""Resizing of images and labels with Pillow, as in the published code.

Source: AdvEnt's published input pipeline (bicubic for images, nearest for labels). The filters of other
libraries differ. Pillow's bicubic filter is antialiased: its support grows with the reduction factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) uint8 to `size` = (width, height) pixels, bicubic with antialiasing.

    Returns (height, width, 3) uint8. Channels are independent and keep their order, BGR here.
    """
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def resize_label(label: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a label (H, W) uint8 to `size` = (width, height) pixels, nearest neighbour.

    Returns (height, width) uint8 with values of the input only.
    """
    return np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
