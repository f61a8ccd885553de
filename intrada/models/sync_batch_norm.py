"""Batch normalisation over the images of all processes, on any device. torch's SyncBatchNorm needs a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intrada.core.errors import UserError

_DIMS = (0, 2, 3)


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d with the statistics of the global batch of all processes in training."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        normalised: Tensor
        normalised, mean, variance, count = _Normalise.apply(input, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._update_running_stats(mean, variance * (count / (count - 1)))
        return normalised

    @torch.no_grad()
    def _update_running_stats(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics as BatchNorm2d does. variance: the unbiased estimate."""
        assert self.running_mean is not None and self.running_var is not None
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # a cumulative mean
            momentum = 1.0 / float(self.num_batches_tracked)  # type: ignore[arg-type]
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class SyncBatchNormAct2d(SyncBatchNorm2d):
    """The same for timm's BatchNormAct2d, which includes the activation."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        activated: Tensor = self.act(self.drop(super().forward(input)))
        return activated


def synchronise(network: nn.Module) -> None:
    """Convert every BatchNorm2d of `network` to SyncBatchNorm2d in place. The state dict does not change.

    Raises UserError for other classes of batch normalisation.
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
    """Normalise x (N, C, H, W) of each process; return also the global mean, biased variance and count.

    The gradients of weight and bias are those of this process; the trainer adds up the gradients of all
    processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values = x.float()
        local_count = values.new_tensor([values.numel() / values.shape[1]])
        sums = _sum(torch.cat([values.sum(_DIMS), local_count]))
        count, mean = sums[-1], sums[:-1] / sums[-1]
        # A second all-reduce: the mean of squares minus the squared mean is inaccurate for a small variance.
        variance = _sum((values - _per_channel(mean)).square().sum(_DIMS)) / count
        scale = (variance + eps).rsqrt()
        normalised = (values - _per_channel(mean)) * _per_channel(scale)
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        if weight is not None and bias is not None:
            normalised = normalised * _per_channel(weight) + _per_channel(bias)
        return normalised.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        gradient = gradients[0].float()
        normalised = (x.float() - _per_channel(mean)) * _per_channel(scale)
        bias_grad, weight_grad = gradient.sum(_DIMS), (gradient * normalised).sum(_DIMS)
        means = _sum(torch.stack([bias_grad, weight_grad])) / count
        inner = gradient - _per_channel(means[0]) - normalised * _per_channel(means[1])
        factor = scale if weight is None else scale * weight
        x_grad = (inner * _per_channel(factor)).to(x.dtype)
        return (x_grad, None, None, None) if weight is None else (x_grad, weight_grad, bias_grad, None)


def _sum(values: Tensor) -> Tensor:
    torch.distributed.all_reduce(values)
    return values


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]
