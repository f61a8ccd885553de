"""Images of which random blocks are hidden, for masked image consistency.

Source: MIC (Hoyer et al., CVPR 2023), section 3.2, equation 6.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def visible(size: tuple[int, int], block: int, ratio: float, random: np.random.Generator) -> Tensor:
    """Return which pixels of an image are shown, (H, W) bool; size = (H, W).

    Each block of `block` x `block` pixels (smaller at the right and bottom border) is hidden with
    probability `ratio`, 0..1.
    """
    rows, columns = (-(-side // block) for side in size)
    shown = torch.from_numpy(random.random((rows, columns)) >= ratio)
    whole = shown.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return whole[: size[0], : size[1]]


def hide(image: Tensor, shown: Tensor, colour: Tensor) -> Tensor:
    """Return the image (3, H, W) uint8 with `colour` (3,) uint8 where `shown` (H, W) is False."""
    return torch.where(shown, image, colour[:, None, None])
