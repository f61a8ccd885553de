"""Measure speed and memory as ratios to a baseline: `python -m benchmarks [--only NAME]`.

A row is a module in `benchmarks/rows` with a function `measure() -> Row`. Both sides of a ratio are measured
in the same run. Other load on the machine falsifies the seconds, so the table has the cores that other
programs used during each row.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS: dict[str, str] = {
    "advent_iteration_float32": "benchmarks.rows.advent_iteration_float32",
    "advent_memory": "benchmarks.rows.advent_memory",
    "advent_iteration_bf16": "benchmarks.rows.advent_iteration_bf16",
    "advent_iteration_cuda": "benchmarks.rows.advent_iteration_cuda",
    "peak_share": "benchmarks.rows.peak_share",
    "bf16_peak_share": "benchmarks.rows.bf16_peak_share",
    "score_float32": "benchmarks.rows.score_float32",
    "score_bf16": "benchmarks.rows.score_bf16",
    "evaluate_rest": "benchmarks.rows.evaluate_rest",
    "read_gta5": "benchmarks.rows.read_gta5",
    "read_cityscapes": "benchmarks.rows.read_cityscapes",
    "data_wait": "benchmarks.rows.data_wait",
    "augmentation_share": "benchmarks.rows.augmentation_share",
    "mean_teacher_overhead": "benchmarks.rows.mean_teacher_overhead",
    "checkpoint_share": "benchmarks.rows.checkpoint_share",
    "second_start": "benchmarks.rows.second_start",
    "index_scale": "benchmarks.rows.index_scale",
    "status_scale": "benchmarks.rows.status_scale",
    "toy_pipeline": "benchmarks.rows.toy_pipeline",
}
NEED_CUDA = ("advent_iteration_cuda",)  # rows that are skipped on a machine without a GPU
# Rows that are skipped on a machine without bfloat16 arithmetic, where each takes about 15 minutes.
NEED_BF16 = ("advent_iteration_bf16", "advent_memory", "bf16_peak_share", "score_bf16")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    ours, baseline: in `unit`. ratio: the number that `goal` is about. goal: the wanted ratio, as a text.
    memory: MiB, None if the row does not measure it.
    """

    name: str
    ours: float
    baseline: float
    ratio: float
    unit: str
    goal: str
    memory: float | None = None
