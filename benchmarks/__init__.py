"""Speed and memory as ratios measured in one run: `python -m benchmarks [--only NAME]`.

A row is a module in `benchmarks/rows` with a function `measure() -> Row`. Seconds mean little on a machine
that does something else as well, so a run says how busy it was.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS: dict[str, str] = {
    "checkpoint_share": "benchmarks.rows.checkpoint_share",
}


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
