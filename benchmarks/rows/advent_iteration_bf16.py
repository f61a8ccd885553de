"""Time an AdvEnt iteration with ResNet-101 at 512x256: ours in bfloat16, the baseline in float32."""

from __future__ import annotations

from benchmarks import Row, bf16, iteration
from benchmarks.rows.advent_iteration_float32 import LARGE, PRESET, SMALL
from benchmarks.streets import resized, temporary_folder, write_cityscapes, write_gta5
from intrada.core.config.load import load
from intrada.core.distributed.device import acquire_device

TIMES = 1  # an iteration takes minutes if bfloat16 is emulated


def measure() -> Row:
    """Return the seconds per iteration, after a warm-up on small images."""
    params = bf16.in_bf16(load(PRESET))
    device = acquire_device(params.compute, params.compute.threads)
    with temporary_folder() as folder:
        write_gta5(folder / "gta5", 1)
        write_cityscapes(folder / "cityscapes", 1, "train")
        for size in (SMALL, LARGE):
            ours, theirs = iteration.medians(
                resized(params, size), device, folder, f"{size[0]}", TIMES, bf16.TOLERANCE
            )
            print(f"advent_iteration_bf16: {size[0]}x{size[1]} {ours:.2f} s, the baseline {theirs:.2f} s")
    goal = bf16.goal("at least 1.8", device)
    return Row("advent_iteration_bf16", ours, theirs, theirs / ours, "s", goal)
