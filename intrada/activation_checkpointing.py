"""Activation checkpointing: blocks of the network keep their input alone, and compute the rest again.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from intrada.errors import UserError
from intrada.models.base import Segmenter

Forward = Callable[[Tensor], Tensor]


def install(segmenter: Segmenter) -> None:
    """Let each block of `segmenter.recomputable()` compute its activations again in the backward pass.

    In train mode with gradients only; names, weights, gradients and statistics stay what they are.
    UserError for a network that names no block.
    """
    blocks = segmenter.recomputable()
    if not blocks:
        raise UserError(
            "compute.activation_checkpointing",
            f"true, but the network {type(segmenter).__name__} names no block to compute again",
            "false, or a network with the method `recomputable` (docs/adding.md)",
            "set compute.activation_checkpointing to false",
        )
    for block in blocks:
        block.forward = partial(_forward, block, block.forward)


def _forward(block: nn.Module, forward: Forward, features: Tensor) -> Tensor:
    if not (block.training and torch.is_grad_enabled()):
        return forward(features)
    result: Tensor = checkpoint(forward, features, use_reentrant=False, context_fn=partial(_contexts, block))
    return result


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of the first pass and of the one that computes again."""
    return nullcontext(), _StatisticsKept(block)


class _StatisticsKept:
    """Batch normalisation has learnt from this batch already: a momentum of 0 changes no running mean.

    Without the statistics at all it would save other tensors than in the first pass, which torch refuses.
    To be entered once for each backward pass through the graph.
    """

    def __init__(self, block: nn.Module) -> None:
        self.norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, counter) in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
