"""The share of the float32 peak that an iteration of AdvEnt with ResNet-101 reaches."""

from __future__ import annotations

import torch

from benchmarks import Row, peak
from benchmarks.rows.advent_iteration_float32 import PRESET
from intrada.core.config.load import load
from intrada.core.distributed.device import acquire_device

TIMES = 2


def measure() -> Row:
    """GFLOP/s; the peak in bfloat16 is printed beside it."""
    params = load(PRESET)
    other = peak.matrix_product(acquire_device(params.compute, params.compute.threads), torch.bfloat16)
    print(f"peak_share: {torch.bfloat16} reaches {other / 1e9:.1f} GFLOP/s")
    return peak.share("peak_share", params, torch.float32, TIMES, "no number of its own")
