"""torch.compile for the network in training, where params ask for it."""

from __future__ import annotations

import os
import shutil
import sys

import torch
import torch._functorch.config

from intrada.core.config.schema import Compute
from intrada.core.errors import UserError
from intrada.models.base import SegmentationModel

BACKEND = "inductor"


def is_wanted(compute: Compute, device: torch.device) -> bool:
    """As asked; with `compile: auto` on CUDA. The meta device has nothing to run."""
    if compute.compile == "auto":
        return device.type == "cuda"
    return compute.compile and device.type != "meta"


def install(segmenter: SegmentationModel, device: torch.device) -> None:
    """Let calls of `segmenter` run compiled, once for each size of images; names and weights stay.

    Losses and discriminators are not compiled. UserError on a CPU without a C++ compiler.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch has it
    if device.type == "cpu" and not shutil.which(compiler):
        raise UserError(
            "compute.compile",
            f"true, but there is no C++ compiler {compiler}",
            "false, auto, or true with a C++ compiler (on a CPU)",
            "set compute.compile to false, or install a compiler and name it in CXX",
        )
    # What G's group keeps belongs to D's as well: its backward pass must not write into it.
    torch._functorch.config.donated_buffer = False
    segmenter.compile(backend=BACKEND, dynamic=False)
