"""What each pixel of a teacher's label counts in the student's loss.

Sources: DACS (Tranheden et al., WACV 2021), section 3.2, and DAFormer (Hoyer et al., CVPR 2022), section 3.1,
for one weight of a whole batch, the share of its pixels that reach the threshold.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from intrada.core.config.classes import IGNORE
from intrada.core.distributed.process_group import ProcessGroup

Mode = Literal["pixel", "batch_share", "image_share", "none"]


class PseudoLabel(NamedTuple):
    """label (N, H, W) int64, 255 where ignored; weight (N, H, W) float32 in 0..1 of each pixel's loss.

    confident: the share of the pixels whose probability reaches the threshold, a scalar in 0..1.
    """

    label: Tensor
    weight: Tensor
    confident: Tensor


def pseudo_label(
    probability: Tensor,
    predicted: Tensor,
    allowed: Tensor,
    trusted: Tensor,
    mode: Mode,
    threshold: float,
    process_group: ProcessGroup,
) -> PseudoLabel:
    """Return the label of a target batch with the weights of its pixels. Collective.

    probability (N, H, W) float: the teacher's, of its class `predicted` (N, H, W) int64; allowed (N, H, W)
    bool: False in margins and padding, where no pixel counts; trusted (N,) bool: images whose allowed pixels
    all count fully. A pixel is confident if its probability is at least `threshold`. mode: `pixel` counts
    confident pixels and ignores all others; `batch_share` and `image_share` give each pixel the share of
    confident pixels among all pixels of the batch (of all processes) or of its image; `none` counts each.
    """
    confident = probability >= threshold
    share = _share(confident, process_group)
    everywhere = trusted[:, None, None]
    if mode == "pixel":
        label = torch.where((confident | everywhere) & allowed, predicted, IGNORE)
        return PseudoLabel(label, torch.ones_like(probability), share)
    if mode == "batch_share":
        weight = share.expand_as(probability)
    elif mode == "image_share":
        weight = confident.float().mean((1, 2), keepdim=True).expand_as(probability)
    else:
        weight = torch.ones_like(probability)
    weight = torch.where(everywhere, 1.0, weight) * allowed
    return PseudoLabel(predicted, weight, share)


def _share(mask: Tensor, process_group: ProcessGroup) -> Tensor:
    """Return the share of True values, over all processes; each has equally many."""
    return process_group.sum(mask.float().mean()) / process_group.rank.world_size
