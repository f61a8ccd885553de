"""Measure an AdvEnt iteration with ResNet-101 in bfloat16 as a share of the bfloat16 peak FLOP rate."""

from __future__ import annotations

import torch

from benchmarks import Row, bf16, peak
from benchmarks.rows.advent_iteration_float32 import PRESET
from intrada.core.config.load import load
from intrada.core.distributed.device import acquire_device

TIMES = 1


def measure() -> Row:
    """Return the row in GFLOP/s."""
    params = bf16.in_bf16(load(PRESET))
    goal = bf16.goal("at least 0.5", acquire_device(params.compute, params.compute.threads))
    return peak.share("bf16_peak_share", params, torch.bfloat16, TIMES, goal)
