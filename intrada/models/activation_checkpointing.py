"""Activation checkpointing: a block saves only its input and recomputes its activations when backpropagating.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from intrada.core.errors import UserError
from intrada.models.base import SegmentationModel
from intrada.models.frozen_bn_stats import FrozenBNStats

Forward = Callable[[Tensor], Tensor]


def install(segmenter: SegmentationModel) -> None:
    """Make each block of `segmenter.recomputable()` recompute its activations in the backward pass.

    It takes effect in train mode with gradients only. The names of the state dict, the outputs, the gradients
    and the statistics of batch normalisation do not change. Raises UserError if there is no such block.
    """
    blocks = segmenter.recomputable()
    if not blocks:
        raise UserError(
            "compute.activation_checkpointing",
            f"true, but the network {type(segmenter).__name__} has no block to recompute",
            "false, or a network that defines `recomputable` (docs/adding.md)",
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
    """Return the contexts of the first pass and the recomputation, which must not update the statistics."""
    return nullcontext(), FrozenBNStats(block)
