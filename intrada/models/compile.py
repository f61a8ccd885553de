"""torch.compile for the network in training (params: compute.compile)."""

from __future__ import annotations

import os
import shutil
import sys

import torch
import torch._functorch.config

from intrada.core.config.compute_block import Compute
from intrada.core.errors import UserError
from intrada.models.base import SegmentationModel

BACKEND = "inductor"


def is_enabled(compute: Compute, device: torch.device) -> bool:
    """Return whether to compile: `compile: auto` means on CUDA only. Never on the meta device."""
    if compute.compile == "auto":
        return device.type == "cuda"
    return compute.compile and device.type != "meta"


def install(segmenter: SegmentationModel, device: torch.device) -> None:
    """Compile `segmenter` in place, on its first call with each image size. The state dict does not change.

    Losses and discriminators are not compiled. Raises UserError on a CPU without a C++ compiler.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # torch's own default
    if device.type == "cpu" and not shutil.which(compiler):
        raise UserError(
            "compute.compile",
            f"true, but there is no C++ compiler {compiler}",
            "false, auto, or true with a C++ compiler (on a CPU)",
            "set compute.compile to false, or install a compiler and set CXX to its name",
        )
    # Both groups of adversarial losses use the saved tensors of one graph, so the first backward pass must
    # not reuse their memory.
    torch._functorch.config.donated_buffer = False
    segmenter.compile(backend=BACKEND, dynamic=False)
