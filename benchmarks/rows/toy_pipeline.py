"""Time the pipeline on the toy city, as in `make demo`, and at the commit before the speed-ups."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import Row, timing
from intrada.core import children
from intrada.core.errors import UserError

BASELINE = "e34072b"  # tagged baseline-pipeline
PIPELINE = (sys.executable, "-m", "snakemake", "--cores", "all", "--resources", "gpu=1", "--quiet")


def measure() -> Row:
    """Return the seconds from an empty checkout to the report; uncommitted changes are not measured."""
    with tempfile.TemporaryDirectory() as folder:
        ours = _seconds(Path(folder, "ours"), "HEAD")
        baseline = _seconds(Path(folder, "baseline"), BASELINE)
    return Row("toy_pipeline", ours, baseline, baseline / ours, "s", "at least 1.5")


def _seconds(folder: Path, commit: str) -> float:
    _run(("git", "clone", "--quiet", "--no-checkout", ".", str(folder)), Path())
    _run(("git", "checkout", "--quiet", commit), folder)
    return timing.seconds(lambda: _run(PIPELINE, folder))


def _run(command: tuple[str, ...], folder: Path) -> None:
    """Run the command; UserError with the end of the output if it fails."""
    result = children.run(command, folder, capture=True)
    if result.returncode:
        fix = f"see its output: {result.stdout[-1500:]}"
        allowed = f"a git checkout that holds {BASELINE}, in which the pipeline runs"
        raise UserError(" ".join(command), f"exit code {result.returncode} in {folder}", allowed, fix)
