"""Where the arithmetic runs, and with how many threads."""

from __future__ import annotations

import torch

from intrada.errors import UserError
from intrada.params import Compute


def prepare(compute: Compute) -> torch.device:
    """The device that params ask for. On a CPU, bits depend on the number of threads, so it is set.

    UserError where `device: cuda` finds no CUDA device.
    """
    torch.set_num_threads(compute.threads)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(
            "compute.device",
            "cuda, but torch sees no CUDA device",
            "auto, cpu, or cuda with a working driver",
            "set compute.device to auto, or see `nvidia-smi` and install a CUDA build of torch",
        )
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")
