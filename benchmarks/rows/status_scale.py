"""Time how long both drivers take to see that 25,000 preprocessed images are up to date."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import Row, timing
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError

IMAGES = 25_000
ALLOWED = 10.0  # seconds
DVC = (sys.executable, "-m", "dvc")
COMMIT = (*DVC, "commit", "--force", "preprocess@source")
STATUS = (*DVC, "status", "dvc.yaml")
DRY_RUN = (sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--quiet")


def measure() -> Row:
    """Return the seconds of the slower driver and ALLOWED; uncommitted changes are not measured."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "checkout")
        _run(("git", "clone", "--quiet", ".", str(folder)), Path())
        _fill(folder)
        _seconds(COMMIT, folder)
        times = [_seconds(command, folder) for command in (STATUS, DRY_RUN)]
    slower = max(times)
    return Row("status_scale", slower, ALLOWED, slower / ALLOWED, "s", "under 1")


def _fill(folder: Path) -> None:
    """Write the dependencies and outputs of preprocess@source: tiny files with different contents."""
    params: Any = plain_yaml.read(folder / "params.yaml")
    root = params["preprocess"]["source"]["root"]
    outputs = folder / "data/preprocess"
    dependencies = ("results/check/stamp.json", f"{root}/1.png")
    for path in (
        *(folder / name for name in dependencies),
        outputs / "source/index.csv",
        outputs / "source_labels/1.png",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    (outputs / "source/images").mkdir()
    for number in range(IMAGES):
        (outputs / f"source/images/{number:05d}.png").write_text(f"{number}\n")


def _seconds(command: tuple[str, ...], folder: Path) -> float:
    seconds = timing.seconds(lambda: _run(command, folder))
    print(f"status_scale: {' '.join(command[2:])} takes {seconds:.1f} s", flush=True)
    return seconds


def _run(command: tuple[str, ...], folder: Path) -> None:
    """Run with this Python first on the PATH; UserError with the end of the output if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    if result.returncode:
        fix = f"see its output: {result.stdout[-1500:]}"
        raise UserError(" ".join(command), f"exit code {result.returncode}", "a git checkout", fix)
