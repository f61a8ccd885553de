"""The mean of a network's weights over iterations: a steadier model than the last one, and a better teacher.

Source: Mean Teacher (Tarvainen and Valpola, NeurIPS 2017), section 2. IntraDA itself takes the last weights.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def average(mean: nn.Module, network: nn.Module, iteration: int, decay: float) -> None:
    """Move the weights and statistics of `mean` towards those of `network` after iteration 1, 2, ...

    mean = keep * mean + (1 - keep) * network with keep = min(1 - 1 / iteration, decay), decay in 0..1: at
    first the plain mean of all iterations so far, then the exponential one. Counters are copied.
    """
    keep = min(1 - 1 / iteration, decay)
    for own, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if own.is_floating_point():
            own.lerp_(new, 1 - keep)
        else:
            own.copy_(new)
