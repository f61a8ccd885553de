"""Where the arithmetic runs, and with how many threads."""

from __future__ import annotations

import os

import torch

from intrada.errors import UserError
from intrada.params import Compute


def prepare(compute: Compute) -> torch.device:
    """The device that params ask for. On a CPU, bits depend on the number of threads, so it is set.

    UserError where `device: cuda` finds no CUDA device.
    """
    torch.set_num_threads(compute.threads)
    _set_arithmetic(compute)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(
            "compute.device",
            "cuda, but torch sees no CUDA device",
            "auto, cpu, or cuda with a working driver",
            "set compute.device to auto, or see `nvidia-smi` and install a CUDA build of torch",
        )
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")


def _set_arithmetic(compute: Compute) -> None:
    """What CUDA may do with float32: see docs/determinism.md. On a CPU it changes nothing."""
    torch.backends.cudnn.allow_tf32 = compute.tf32
    torch.set_float32_matmul_precision("high" if compute.tf32 else "highest")
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.backends.cudnn.deterministic = compute.deterministic
    torch.use_deterministic_algorithms(compute.deterministic)
