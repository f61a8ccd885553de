"""Batch normalisation over the images of all processes, on any device: torch's own refuses a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intrada.core.errors import UserError

_PIXELS = (0, 2, 3)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose statistics, in training, are those of the batch that all processes hold together."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        normalised: Tensor
        normalised, mean, variance, count = _Normalise.apply(input, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._remember(mean, variance * (count / (count - 1)))
        return normalised

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics as BatchNorm2d does; variance: the unbiased one."""
        assert self.running_mean is not None and self.running_var is not None
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # of a plain mean
            momentum = 1.0 / float(self.num_batches_tracked)  # type: ignore[arg-type]
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class SyncBatchNormAct2d(SyncBatchNorm2d):
    """The same for timm's BatchNormAct2d, which brings its activation with it."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


def synchronise(network: nn.Module) -> None:
    """Make every BatchNorm2d of `network` a SyncBatchNorm2d, its tensors and their names as they are.

    UserError for batch normalisation of another kind.
    """
    for name, module in network.named_modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm2d
        elif type(module).__name__ == "BatchNormAct2d":
            module.__class__ = SyncBatchNormAct2d
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise UserError(
                "compute.sync_batch_norm",
                f"true, but the network's {name} is a {type(module).__name__}",
                "torch's BatchNorm2d, or timm's BatchNormAct2d",
                "set compute.sync_batch_norm to false, or compute.devices to 1",
            )


class _Normalise(torch.autograd.Function):
    """x (N, C, H, W) of each process -> normalised x, and mean (C,), biased variance (C,), count of all.

    The gradients of weight and bias are this process's own: they are added up with all the others.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values = x.float()
        own = values.new_tensor([values.numel() / values.shape[1]])
        sums = _sum(torch.cat([values.sum(_PIXELS), own]))
        count, mean = sums[-1], sums[:-1] / sums[-1]
        # in two messages: the mean of squares less the squared mean would lose what little variance there is
        variance = _sum((values - _wide(mean)).square().sum(_PIXELS)) / count
        scale = (variance + eps).rsqrt()
        normalised = (values - _wide(mean)) * _wide(scale)
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        if weight is not None and bias is not None:
            normalised = normalised * _wide(weight) + _wide(bias)
        return normalised.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        gradient = gradients[0].float()
        normalised = (x.float() - _wide(mean)) * _wide(scale)
        of_bias, of_weight = gradient.sum(_PIXELS), (gradient * normalised).sum(_PIXELS)
        means = _sum(torch.stack([of_bias, of_weight])) / count
        inner = gradient - _wide(means[0]) - normalised * _wide(means[1])
        factor = scale if weight is None else scale * weight
        back = (inner * _wide(factor)).to(x.dtype)
        return (back, None, None, None) if weight is None else (back, of_weight, of_bias, None)


def _sum(values: Tensor) -> Tensor:
    torch.distributed.all_reduce(values)
    return values


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]
