"""ClassMix: the pixels of half of the classes of one labelled image, pasted on another image.

Source: ClassMix (Olsson et al., WACV 2021), section 3.2; DACS (WACV 2021), section 3.1, across domains.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pasted(label: Tensor, keys: Tensor) -> Tensor:
    """Return where an image is pasted: the pixels of half of its classes, (H, W) bool.

    label (H, W) int64: 0..C-1, other values (255) belong to no class and are never pasted; keys (C,) float,
    distinct: of the K classes in the label, the ceil(K / 2) with the lowest keys are chosen. No shape depends
    on the values, so nothing waits for a GPU.
    """
    classes = len(keys)
    is_class = (label >= 0) & (label < classes)
    counts = torch.zeros(classes + 1, dtype=torch.int64, device=label.device)
    values = torch.where(is_class, label, classes)
    counts = counts.scatter_add(0, values.flatten(), torch.ones_like(values).flatten())[:classes]
    present = counts > 0
    place = torch.where(present, keys, torch.inf).argsort().argsort()  # of each class among those present
    chosen = present & (place < (present.sum() + 1) // 2)
    return torch.cat([chosen, chosen.new_zeros(1)])[values]


def mix(mask: Tensor, pasted_values: Tensor, values: Tensor) -> Tensor:
    """Return `values` with `pasted_values` where `mask` (H, W) is True; both (..., H, W) of one dtype."""
    return torch.where(mask, pasted_values, values)
