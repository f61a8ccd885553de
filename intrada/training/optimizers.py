"""Optimizers of the segmentation network and of the discriminators.

Source: AdvEnt (CVPR 2019), section 4.1. Segmentation network: SGD, learning rate 2.5e-4 (heads: 10 times
that), momentum 0.9, weight decay 5e-4. Discriminators: Adam, learning rate 1e-4, betas (0.9, 0.99).
docs/decisions/0001-optimizer-multiplicity.md explains `multiplicity`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from intrada.core.errors import UserError
from intrada.models.base import SegmentationModel
from intrada.training.eager import SGD, Adam, AdamW, EagerOptimizer
from intrada.training.parameter_groups import MULTIPLIER, parameter_groups

ADAM_BETAS = (0.9, 0.99)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every parameter group, times its multiplier. Call it before each iteration."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group[MULTIPLIER]


class PublishedSGD(EagerOptimizer):
    """SGD that updates a weight several times in one iteration, as the published code does.

    The published optimizer lists a weight `repeats` times and updates it once for each entry.
    params: groups with `params` and `repeats`, one count for each parameter.
    An update is that of torch 0.4.1: it adds the weight decay to `grad` in place, so that the decay
    accumulates over the updates of an iteration, then updates the momentum buffer and the weight. Updates of
    different weights are independent, so their order does not matter.
    Raises ValueError if a group has not one count for each parameter.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            if len(group["repeats"]) != len(group["params"]):
                raise ValueError("a parameter group needs one repeat count for each of its parameters")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient; return the loss of `closure`, or None without it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight, repeats in zip(group["params"], group["repeats"], strict=True):
                if weight.grad is not None:
                    buffer = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
                    _steps(weight, weight.grad, buffer, repeats, group)
        return loss


def _steps(weight: Tensor, grad: Tensor, buffer: Tensor, repeats: int, group: dict[str, Any]) -> None:
    for _ in range(repeats):
        grad.add_(weight, alpha=group["weight_decay"])
        buffer.mul_(group["momentum"]).add_(grad)
        weight.sub_(buffer, alpha=group["lr"])


def published_multiplicity(stages: Iterable[nn.Module]) -> dict[nn.Parameter, int]:
    """Return how often the published optimizer lists each trainable weight of the given stages.

    The published code visits every module of a stage, including the stage itself, and lists all weights of
    the visited module and of its descendants. A weight is thus listed once for each of its ancestors up to
    the stage.
    """
    counts: dict[nn.Parameter, int] = {}
    for stage in stages:
        for module in stage.modules():
            for weight in module.parameters():
                if weight.requires_grad:
                    counts[weight] = counts.get(weight, 0) + 1
    return counts


def segmenter_optimizer(
    model: SegmentationModel,
    name: Literal["sgd", "adamw"],
    lr: float,
    *,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    heads_lr_multiplier: float = 10.0,
    multiplicity: Literal["once", "published"] = "once",
    layer_decay: float | None = None,
    no_decay_on_norms: bool | None = None,
) -> Optimizer:
    """Return the optimizer of the segmentation network, with the groups of parameter_groups.py.

    name: "sgd" with `momentum`, or "adamw" with torch's betas; heads_lr_multiplier: the ratio of the heads'
    learning rate to the backbone's; multiplicity: "once" updates each weight once in an iteration,
    "published" as often as the published code does (SGD only, decision 0001); layer_decay,
    no_decay_on_norms: see parameter_groups.
    Raises UserError for other values.
    """
    groups = parameter_groups(model, heads_lr_multiplier, layer_decay, no_decay_on_norms)
    for group in groups:
        group["lr"] = lr * group[MULTIPLIER]
    if multiplicity == "published" and name == "sgd":
        backbone = [module for child, module in model.named_children() if child not in model.head_names]
        counts = published_multiplicity(backbone)
        for group in groups:
            group["repeats"] = [counts.get(weight, 1) for weight in group["params"]]
        return PublishedSGD(groups, lr, momentum, weight_decay)
    if multiplicity != "once":
        allowed = "once, or published together with sgd"
        raise UserError("optimizer.multiplicity", f"{multiplicity!r} with {name}", allowed, "set it to once")
    if name == "sgd":
        return SGD(groups, lr, momentum, weight_decay=weight_decay, fused=_fused(groups))
    if name == "adamw":
        return AdamW(groups, lr, weight_decay=weight_decay, fused=_fused(groups))
    raise UserError("optimizer.name", repr(name), "sgd, adamw", "choose one of these")


def discriminator_optimizer(
    discriminator: nn.Module, lr: float, betas: tuple[float, float] = ADAM_BETAS
) -> Adam:
    """Return Adam for one or more discriminators, without weight decay."""
    groups: list[dict[str, Any]] = [{"params": list(discriminator.parameters()), MULTIPLIER: 1.0}]
    return Adam(groups, lr, betas, fused=_fused(groups))


def _fused(groups: list[dict[str, Any]]) -> bool:
    """Return whether torch has a fused step for these weights: on all devices except meta."""
    return not any(weight.is_meta for group in groups for weight in group["params"])
