"""An iteration of AdvEnt with ResNet-101 in float32, one image of 512x256 of each domain, on a CPU."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks import Row, baseline, iteration
from benchmarks.streets import resized, workplace, write_cityscapes, write_gta5
from intrada.core.config.load import load

PRESET = Path("presets/gta5_to_cityscapes.yaml")
CPU = torch.device("cpu")
SMALL, LARGE = (256, 128), (512, 256)
TIMES = 3
TOLERANCE = 1e-5


def measure() -> Row:
    """Seconds of the baseline over ours, after an iteration of each on small images."""
    params = load(PRESET)
    torch.set_num_threads(params.compute.threads)
    with workplace() as folder:
        write_gta5(folder / "gta5", 1)
        write_cityscapes(folder / "cityscapes", 1, "train")
        for size, times in ((SMALL, 1), (LARGE, TIMES)):
            what = f"an AdvEnt iteration of R101 at {size[0]}x{size[1]}"
            ours, theirs = iteration.medians(resized(params, size), CPU, folder, what, times, TOLERANCE)
            baseline.tell(what, theirs)
    return Row("advent_iteration_float32", ours, theirs, theirs / ours, "s", "at least 1.15")
