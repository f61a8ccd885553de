"""Device selection, thread counts and numeric settings of torch."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch

from intrada.core.config.compute_block import Compute
from intrada.core.distributed import device_lock
from intrada.core.errors import UserError


def acquire_device(compute: Compute, threads: int) -> torch.device:
    """Return the device for `compute`, and set the number of CPU threads, on which the rounding depends.

    A CUDA device is locked for this process until it ends. The first call waits until one is free; later
    calls return the same device. UserError for `device: cuda` without a CUDA device.
    """
    return _acquired(compute, threads, 1)[0]


def acquire_devices(compute: Compute, threads: int) -> list[torch.device]:
    """Return `compute.devices` devices, the first of which this process uses; see `acquire_device`.

    Waits until that many CUDA devices are free and locks them together. UserError if there are too few.
    """
    return _acquired(compute, threads, compute.devices)


def configure_torch(compute: Compute, threads: int, device: torch.device) -> None:
    """Set up torch in a child process for `device`, which the parent process has locked."""
    _set_cpu(threads)
    _set_arithmetic(compute)
    if device.type == "cuda":
        torch.cuda.set_device(device)


def _acquired(compute: Compute, threads: int, count: int) -> list[torch.device]:
    _set_cpu(threads)
    _set_arithmetic(compute)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(
            "compute.device",
            "cuda, but torch sees no CUDA device",
            "auto, cpu, or cuda with a working driver",
            "set compute.device to auto, or check `nvidia-smi` and install a CUDA build of torch",
        )
    if compute.device == "cpu" or not available:
        return [torch.device("cpu")] * count
    return [torch.device("cuda", lock.index) for lock in _locked(count)]


_locks: list[device_lock.DeviceLock] = []  # of this process, until it ends


def _locked(count: int) -> list[device_lock.DeviceLock]:
    """Lock `count` CUDA devices on the first call, and make the first the current device.

    A lock is named by the device's UUID, because an index depends on CUDA_VISIBLE_DEVICES.
    """
    if not _locks:
        available = torch.cuda.device_count()
        if count > available:
            raise UserError(
                "compute.devices",
                f"{count}, but torch sees {available} CUDA devices",
                f"1 to {available} on this machine",
                "lower compute.devices, or check CUDA_VISIBLE_DEVICES and `nvidia-smi`",
            )
        names = [f"cuda-{torch.cuda.get_device_properties(index).uuid}" for index in range(available)]
        _locks.extend(device_lock.acquire(names, count))
        torch.cuda.set_device(_locks[0].index)
    return _locks[:count]


def uses_bf16(compute: Compute, device: torch.device) -> bool:
    """Return whether convolutions run in bfloat16; with `precision: auto`, whether the device supports it."""
    return has_bf16(device) if compute.precision == "auto" else compute.precision == "bf16"


def has_bf16(device: torch.device) -> bool:
    """Return whether the device supports bfloat16 in hardware, without slow emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def autocast(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """Return torch's bfloat16 autocast if `bf16`, else a null context. The meta device has no autocast."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 and device.type != "meta" else nullcontext()


def _set_cpu(threads: int) -> None:
    """Set the number of CPU threads, and let the CPU treat numbers below 1.2e-38 (denormal numbers) as 0.

    A saturated softmax leaves gradients that small, with which a CPU computes many times slower. A thread
    takes the setting from the thread that starts it, so it comes before torch starts its own.
    """
    torch.set_flush_denormal(True)  # False on a CPU that cannot: which is then slower
    torch.set_num_threads(threads)


def _set_arithmetic(compute: Compute) -> None:
    """Set TF32 and determinism of CUDA: see docs/determinism.md. It has no effect on a CPU."""
    torch.backends.cudnn.allow_tf32 = compute.tf32
    torch.set_float32_matmul_precision("high" if compute.tf32 else "highest")
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.backends.cudnn.deterministic = compute.deterministic
    if torch.are_deterministic_algorithms_enabled() != compute.deterministic:
        # only on a change: the call imports torch's compiler, which takes as long as importing torch
        torch.use_deterministic_algorithms(compute.deterministic)
