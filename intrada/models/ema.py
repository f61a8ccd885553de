"""Exponential moving average (EMA) of the weights of a network over the iterations.

Source: Mean Teacher (Tarvainen and Valpola, NeurIPS 2017), section 2. IntraDA itself uses the last weights.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_parameters(mean: nn.Module, network: nn.Module, iteration: int, decay: float) -> None:
    """Update the parameters of `mean` as `update` does; copy the statistics of batch normalisation."""
    weights, new_weights = ([weight.data for weight in net.parameters()] for net in (mean, network))
    torch._foreach_lerp_(weights, new_weights, 1 - min(1 - 1 / iteration, decay))
    for buffer, new in zip(mean.buffers(), network.buffers(), strict=True):
        buffer.copy_(new)


@torch.no_grad()
def update(mean: nn.Module, network: nn.Module, iteration: int, decay: float) -> None:
    """Update the weights and statistics of `mean` from `network` after `iteration` = 1, 2, ... iterations.

    mean = keep * mean + (1 - keep) * network, with keep = min(1 - 1 / iteration, decay) and decay in 0..1. In
    the first iterations this is the plain mean of all iterations so far. Integer tensors are copied.
    """
    keep = min(1 - 1 / iteration, decay)
    for average, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if average.is_floating_point():
            average.lerp_(new, 1 - keep)
        else:
            average.copy_(new)
