"""Optimizers of the segmentation network and of the discriminators, and their schedule.

Source: AdvEnt (CVPR 2019), section 4.1: SGD 2.5e-4, momentum 0.9, weight decay 5e-4, heads x10; Adam
1e-4 with betas (0.9, 0.99); poly schedule of power 0.9. docs/decisions/0001-optimizer-multiplicity.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from intrada.core.errors import UserError
from intrada.models.base import SegmentationModel

ADAM_BETAS = (0.9, 0.99)
# Key of a parameter group: its learning rate as a multiple of the schedule's.
MULTIPLIER = "multiplier"


def poly(base: float, iteration: int, max_iters: int, power: float) -> float:
    """Learning rate of iteration 0..max_iters: `base * (1 - iteration / max_iters) ** power`."""
    return float(base * (1 - iteration / max_iters) ** power)


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Give every parameter group its multiple of `learning_rate`; call it before each iteration."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group[MULTIPLIER]


class PublishedSGD(Optimizer):
    """SGD that takes the step of a weight as often as the published code lists it, in one iteration.

    params: groups with `params` and `repeats`, one count for each parameter. Each of the steps is
    torch 0.4.1's: the decay is added to the gradient in place, so that it accumulates over the steps
    (and `grad` shows it afterwards), then momentum buffer and weight move. Steps of different weights
    do not touch each other, so taking a weight's steps in a row is the published order.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            if len(group["repeats"]) != len(group["params"]):
                raise ValueError("a parameter group needs one repeat count for each of its parameters")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One iteration; parameters without a gradient rest."""
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
    """How often the published generator lists each trainable weight of the given stages.

    It visits every module nested in a stage, the stage itself included, and each time lists all weights
    at or below that module: a weight is listed once for each module between its stage and itself.
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
) -> Optimizer:
    """Optimizer of the segmentation network, one parameter group each for backbone and heads.

    name: "sgd" with `momentum`, or "adamw" with torch's betas; heads_lr_multiplier: learning rate of the
    heads over the backbone's; multiplicity: "once" moves each weight once an iteration, "published" as
    often as the published code does (SGD only, decision 0001). UserError for other values.
    """
    groups: list[dict[str, Any]] = [
        {"params": weights, MULTIPLIER: heads_lr_multiplier if part == "heads" else 1.0}
        for part, weights in model.parameter_groups().items()
    ]
    for group in groups:
        group["lr"] = lr * group[MULTIPLIER]
    if multiplicity == "published" and name == "sgd":
        backbone = [part for child, part in model.named_children() if child not in model.head_names]
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
    raise UserError("optimizer.name", repr(name), "sgd, adamw", "name one of these")


def discriminator_optimizer(
    discriminator: nn.Module, lr: float, betas: tuple[float, float] = ADAM_BETAS
) -> Adam:
    """Adam of one or more discriminators: each weight once, no weight decay."""
    groups: list[dict[str, Any]] = [{"params": list(discriminator.parameters()), MULTIPLIER: 1.0}]
    return Adam(groups, lr, betas, fused=_fused(groups))


def _fused(groups: list[dict[str, Any]]) -> bool:
    """Whether torch has a fused step for these weights: everywhere but where nothing is computed."""
    return not any(weight.is_meta for group in groups for weight in group["params"])
