"""FLOPs of the operations that run in a block, and quick shapes of those on torch's meta device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context manager that counts the FLOPs of tensor operations by the formulas of torch's flop counter.

    Unlike torch's counter, it is right for grouped convolutions and fast on the meta device.
    `flop` is the sum so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flop = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        is_meta = args and isinstance(args[0], Tensor) and args[0].is_meta
        meta_kernel = META_KERNELS.get(func) if is_meta else None
        result = (meta_kernel or func)(*args, **(kwargs or {}))
        if formula := FORMULAS.get(func.overloadpacket):
            self.flop += formula(*args, **(kwargs or {}), out_val=result)
        return result


def _convolution_backward_flop(gradient: Tensor, images: Tensor, weight: Tensor, *rest: Any, **_: Any) -> int:
    """Each gradient costs as much as a forward pass. Torch's own formula ignores `groups`."""
    transposed, output_mask = rest[4], rest[-1]
    output = images if transposed else gradient
    return int(sum(output_mask[:2]) * 2 * weight.numel() * output.numel() // output.shape[1])


def _batch_norm(images: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    channels = images.shape[1]
    return torch.empty_like(images), images.new_empty(channels), images.new_empty(channels)


def _batch_norm_backward(gradient: Tensor, *rest: Any) -> tuple[Tensor | None, ...]:
    return tuple(
        result if needed else None for result, needed in zip(_batch_norm(gradient), rest[-1], strict=True)
    )


def _layer_norm(values: Tensor, shape: Sequence[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    statistics = (*values.shape[: -len(shape)], *(1 for _ in shape))
    return (
        torch.empty_like(values, memory_format=torch.contiguous_format),
        values.new_empty(statistics),
        values.new_empty(statistics),
    )


def _layer_norm_backward(gradient: Tensor, values: Tensor, *rest: Any) -> tuple[Tensor | None, ...]:
    *_, weight, bias, needed = rest
    return tuple(
        torch.empty_like(like) if wanted else None
        for like, wanted in zip((values, weight, bias), needed, strict=True)
    )


def _addmm(added: Tensor, left: Tensor, right: Tensor, **_: Any) -> Tensor:
    return added.new_empty(left.shape[0], right.shape[1])


def _elementwise(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.empty_like(values)


def _in_place(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return values


FORMULAS = flop_registry | {torch.ops.aten.convolution_backward: _convolution_backward_flop}
# Torch computes these shapes in Python, up to 3 ms for each call: most of the time of a ResNet-101
META_KERNELS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.native_batch_norm_backward.default: _batch_norm_backward,
    torch.ops.aten.native_layer_norm.default: _layer_norm,
    torch.ops.aten.native_layer_norm_backward.default: _layer_norm_backward,
    torch.ops.aten.addmm.default: _addmm,
    torch.ops.aten.gelu.default: _elementwise,
    torch.ops.aten.gelu_backward.default: _elementwise,
    torch.ops.aten.sqrt.default: _elementwise,
    torch.ops.aten._safe_softmax.default: _elementwise,
    torch.ops.aten.add_.Tensor: _in_place,
    torch.ops.aten.addcdiv_.default: _in_place,
    torch.ops.aten.addcmul_.default: _in_place,
    torch.ops.aten.lerp_.Scalar: _in_place,
}
