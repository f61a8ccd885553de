"""Where the arithmetic runs, and with how many threads."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from intrada.core.config.schema import Compute
from intrada.core.distributed import device_lock
from intrada.core.errors import UserError


def acquire_device(compute: Compute, threads: int) -> torch.device:
    """A device as params ask for. On a CPU, bits depend on the number of `threads`, so it is set.

    A CUDA device is this process's own until it ends: the first call waits until one is free, and every
    later call returns the same. UserError where `device: cuda` finds no CUDA device.
    """
    return _acquired(compute, threads, 1)[0]


def acquire_devices(compute: Compute, threads: int) -> list[torch.device]:
    """`compute.devices` devices, the first of which is this process's own: see `prepare`.

    Several CUDA devices are all locked at once, or none. UserError where there are not so many.
    """
    return _acquired(compute, threads, compute.devices)


def configure_torch(compute: Compute, threads: int, device: torch.device) -> None:
    """Make `device`, which the process that started this one has locked, this one's own."""
    torch.set_num_threads(threads)
    _set_arithmetic(compute)
    if device.type == "cuda":
        torch.cuda.set_device(device)


def _acquired(compute: Compute, threads: int, count: int) -> list[torch.device]:
    torch.set_num_threads(threads)
    _set_arithmetic(compute)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(
            "compute.device",
            "cuda, but torch sees no CUDA device",
            "auto, cpu, or cuda with a working driver",
            "set compute.device to auto, or see `nvidia-smi` and install a CUDA build of torch",
        )
    if compute.device == "cpu" or not available:
        return [torch.device("cpu")] * count
    return [torch.device("cuda", held.index) for held in _own(count)]


_held: list[device_lock.Held] = []  # keeps the locks, too


def _own(count: int) -> list[device_lock.Held]:
    """This process's CUDA devices, the first made the current one, so that nothing is put on another.

    A lock is named by the UUID: an index means another device under another CUDA_VISIBLE_DEVICES.
    """
    if not _held:
        there = torch.cuda.device_count()
        if count > there:
            raise UserError(
                "compute.devices",
                f"{count}, but torch sees {there} CUDA devices",
                f"1 to {there} here",
                "lower compute.devices, or see CUDA_VISIBLE_DEVICES and `nvidia-smi`",
            )
        names = [f"cuda-{torch.cuda.get_device_properties(index).uuid}" for index in range(there)]
        _held.extend(device_lock.acquire(names, count))
        torch.cuda.set_device(_held[0].index)
    return _held[:count]


def uses_bf16(compute: Compute, device: torch.device) -> bool:
    """Whether convolutions compute in bfloat16: as asked; with `precision: auto`, if the device has it."""
    return has_bf16(device) if compute.precision == "auto" else compute.precision == "bf16"


def has_bf16(device: torch.device) -> bool:
    """Whether the device has bfloat16 arithmetic of its own; one that has not emulates it, slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Within the block, convolutions take and give bfloat16 if `bf16`; the meta device has no such mode."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 and device.type != "meta" else nullcontext()


def _set_arithmetic(compute: Compute) -> None:
    """What CUDA may do with float32: see docs/determinism.md. On a CPU it changes nothing."""
    torch.backends.cudnn.allow_tf32 = compute.tf32
    torch.set_float32_matmul_precision("high" if compute.tf32 else "highest")
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.backends.cudnn.deterministic = compute.deterministic
    if torch.are_deterministic_algorithms_enabled() != compute.deterministic:
        # not always: the call loads torch's compiler, which takes as long as torch itself
        torch.use_deterministic_algorithms(compute.deterministic)
