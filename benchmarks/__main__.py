"""Run all rows or one row; print a table and write results/benchmarks.json."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch

from benchmarks import NEED_BF16, NEED_CUDA, ROWS, Row, machine
from intrada.core import files
from intrada.core.distributed.device import has_bf16

OUT = Path("results/benchmarks.json")
BUSY = 0.1  # cores of other programs


def main(argv: list[str] | None = None) -> None:
    """Print the table and write OUT, with the machine and, for each row, the cores that others used."""
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("--only", choices=ROWS, help="the row to run; default: all")
    only = parser.parse_args(argv).only
    skipped = [] if only else _skipped()
    names = [only] if only else [name for name in ROWS if name not in skipped]
    about, rows = machine.describe(), [_measured(name) for name in names]
    listed = [asdict(row) | {"others": others} for row, others in rows]
    files.write_json(OUT, {"machine": about, "rows": listed})
    print(f"{about['processor']}, {about['cores']} cores; one thread: {about['peak_gflops']} GFLOP/s")
    print(f"{'row':28} {'ours':>10} {'baseline':>10} {'ratio':>8}  unit  others  goal")
    for row, others in rows:
        numbers = f"{row.name:28} {row.ours:10.4f} {row.baseline:10.4f} {row.ratio:8.4f}"
        print(f"{numbers}  {row.unit:5} {others:6.2f}  {row.goal}")
    if busy := [row.name for row, others in rows if others > BUSY]:
        print(f"other programs used more than {BUSY} cores; not reliable: {', '.join(busy)}")


def _measured(name: str) -> tuple[Row, float]:
    """Return the row, and the cores that other programs used meanwhile."""
    others = machine.Others()
    return import_module(ROWS[name]).measure(), others.cores()


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
