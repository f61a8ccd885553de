"""Speed and memory as ratios measured in one run: `python -m benchmarks [--only NAME]`.

A row is a module in `benchmarks/rows` with a function `measure() -> Row`. Seconds mean little on a machine
that does something else as well, so a run says how busy it was.
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
    "checkpoint_share": "benchmarks.rows.checkpoint_share",
    "second_start": "benchmarks.rows.second_start",
    "index_scale": "benchmarks.rows.index_scale",
    "status_scale": "benchmarks.rows.status_scale",
    "toy_pipeline": "benchmarks.rows.toy_pipeline",
}
NEED_CUDA = ("advent_iteration_cuda",)  # the rows that a machine without a GPU leaves out
# and those that a machine without bfloat16 arithmetic leaves out: emulated, each takes a quarter of an hour
NEED_BF16 = ("advent_iteration_bf16", "advent_memory", "bf16_peak_share", "score_bf16")


@dataclass(frozen=True)
class Row:
    """One line of the table. ours, baseline: in `unit`; ratio: what the row is judged by; memory: MiB.

    goal: what the ratio should be, in words. None where a row has no such number.
    """

    name: str
    ours: float
    baseline: float
    ratio: float
    unit: str
    goal: str
    memory: float | None = None
