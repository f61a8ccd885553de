"""Shared by the bfloat16 rows, which run on the device of the preset: a GPU if there is one."""

from __future__ import annotations

import torch

from intrada.core.config.schema import Params
from intrada.core.distributed.device import has_bf16

TOLERANCE = 0.05  # of losses and entropies, compared with float32: about 100 layers, each rounded to 8 bits


def in_bf16(params: Params) -> Params:
    """Return the params with convolutions in bfloat16."""
    return params.model_copy(update={"compute": params.compute.model_copy(update={"precision": "bf16"})})


def goal(text: str, device: torch.device) -> str:
    """Return the goal of a row, with a note if the device emulates bfloat16."""
    return text if has_bf16(device) else f"{text} (this machine emulates bf16)"
