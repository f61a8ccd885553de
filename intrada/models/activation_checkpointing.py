"""Activation checkpointing: blocks of the network keep their input alone, and compute the rest again.

Source: Chen et al., Training Deep AdversarialNetworks with Sublinear Memory Cost, 2016.
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
    """Of the first pass and of the one that computes again, whose batch the statistics know already."""
    return nullcontext(), FrozenBNStats(block)
