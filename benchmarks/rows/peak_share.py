"""Measure an AdvEnt iteration with ResNet-101 in float32 as a share of the float32 peak FLOP rate."""

from __future__ import annotations

import torch

from benchmarks import Row, peak
from benchmarks.rows.advent_iteration_float32 import PRESET
from intrada.core.config.load import load
from intrada.core.distributed.device import acquire_device

TIMES = 2


def measure() -> Row:
    """Return the row in GFLOP/s, and print the bfloat16 peak."""
    params = load(PRESET)
    other = peak.matrix_product(acquire_device(params.compute, params.compute.threads), torch.bfloat16)
    print(f"peak_share: {torch.bfloat16} reaches {other / 1e9:.1f} GFLOP/s")
    return peak.share("peak_share", params, torch.float32, TIMES, "none")
