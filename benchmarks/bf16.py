"""What the rows about bfloat16 share. They run where the preset would: on a GPU where there is one."""

from __future__ import annotations

import torch

from intrada.core.config.schema import Params
from intrada.core.distributed.device import has_bf16

TOLERANCE = 0.05  # of losses and entropies, against float32: a hundred layers, each rounded to 8 bits


def in_bf16(params: Params) -> Params:
    """The same params with convolutions in bfloat16."""
    return params.model_copy(update={"compute": params.compute.model_copy(update={"precision": "bf16"})})


def goal(text: str, device: torch.device) -> str:
    """The goal of a row, with a note where the device emulates bfloat16."""
    return text if has_bf16(device) else f"{text} (this machine emulates bf16)"
