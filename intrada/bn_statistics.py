"""Whose images the running statistics of batch normalisation follow: all that are trained on, or some.

Training normalises by each batch's own statistics; inference by the running ones, which mix source and
target where both are trained on. Source: AdaBN (Li et al., 2016) takes the target's alone; IntraDA all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def kept(network: nn.Module) -> Iterator[None]:
    """Within the block the running statistics of `network` stay as they are, whatever passes through it."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
