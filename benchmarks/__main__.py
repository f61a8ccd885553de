"""Run all rows or one row; print a table and write results/benchmarks.json."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch

from benchmarks import NEED_BF16, NEED_CUDA, ROWS, Row
from intrada.core import files
from intrada.core.distributed.device import has_bf16

OUT = Path("results/benchmarks.json")


def main(argv: list[str] | None = None) -> None:
    """Print the table and write OUT, with the load average of the machine before the first row."""
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("--only", choices=ROWS, help="the row to run; default: all")
    only = parser.parse_args(argv).only
    skipped = [] if only else _skipped()
    names = [only] if only else [name for name in ROWS if name not in skipped]
    before = os.getloadavg()[0]
    rows: list[Row] = [import_module(ROWS[name]).measure() for name in names]
    busy = before > 0.5
    files.write_json(OUT, {"load_before": before, "busy": busy, "rows": [asdict(row) for row in rows]})
    print(f"{'row':28} {'ours':>10} {'baseline':>10} {'ratio':>8}  unit  goal")
    for row in rows:
        print(
            f"{row.name:28} {row.ours:10.4f} {row.baseline:10.4f} {row.ratio:8.4f}  {row.unit:5} {row.goal}"
        )
    if busy:
        print(f"the machine was busy (load {before:.1f} before the first row): the figures are not reliable")


def _skipped() -> list[str]:
    """Return the rows that this machine runs only with --only, and print the reason of each."""
    cuda = torch.cuda.is_available()
    reasons = {} if cuda else dict.fromkeys(NEED_CUDA, "torch sees no CUDA device")
    if not has_bf16(torch.device("cuda" if cuda else "cpu")):
        reasons |= dict.fromkeys(NEED_BF16, "this machine emulates bf16; --only runs it")
    for name, reason in reasons.items():
        print(f"{name} is skipped: {reason}")
    return list(reasons)


if __name__ == "__main__":
    main()
