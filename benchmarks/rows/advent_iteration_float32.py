"""Time an AdvEnt iteration with ResNet-101 in float32 on a CPU, one 512x256 image of each domain."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks import Row, baseline, iteration
from benchmarks.streets import resized, temporary_folder, write_cityscapes, write_gta5
from intrada.core.config.load import load
from intrada.core.distributed.device import configure_torch

PRESET = Path("presets/gta5_to_cityscapes.yaml")
CPU = torch.device("cpu")
SMALL, LARGE = (256, 128), (512, 256)
TIMES = 3


def measure() -> Row:
    """Return the seconds per iteration, after a warm-up on small images."""
    params = load(PRESET)
    configure_torch(params.compute, params.compute.threads, CPU)
    with temporary_folder() as folder:
        write_gta5(folder / "gta5", 1)
        write_cityscapes(folder / "cityscapes", 1, "train")
        for size, times in ((SMALL, 1), (LARGE, TIMES)):
            task = f"an AdvEnt iteration of R101 at {size[0]}x{size[1]}"
            ours, theirs = iteration.medians(resized(params, size), CPU, folder, task, times)
            baseline.print_seconds(task, theirs)
    return Row("advent_iteration_float32", ours, theirs, theirs / ours, "s", "at least 1.15")
