"""Whose images the running statistics of batch normalisation follow: all that are trained on, or some.

Training normalises by each batch's own statistics; inference by the running ones, which mix source and
target where both are trained on. Source: AdaBN (Li et al., 2016) takes the target's alone; IntraDA all.
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class FrozenBNStats:
    """Within the block the running statistics of `network` stay as they are, whatever passes through it.

    A momentum of 0 changes no running mean; without the statistics at all a layer would save other tensors
    for its backward pass. To be entered as often as one likes, once at a time.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, counter) in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
