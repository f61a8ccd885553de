"""What both drivers take to see that nothing is to do, where preprocess left 25,000 images."""

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
    """Seconds of the slower one, against ALLOWED; what is not committed takes no part."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "checkout")
        _run(("git", "clone", "--quiet", ".", str(folder)), Path())
        _fill(folder)
        _seconds(COMMIT, folder)
        took = [_seconds(command, folder) for command in (STATUS, DRY_RUN)]
    slower = max(took)
    return Row("status_scale", slower, ALLOWED, slower / ALLOWED, "s", "under 1")


def _fill(folder: Path) -> None:
    """What preprocess@source depends on and what it makes: files that are tiny and differ from each other."""
    params: Any = plain_yaml.read(folder / "params.yaml")
    root = params["preprocess"]["source"]["root"]
    made = folder / "data/preprocess"
    few = ("results/check/stamp.json", f"{root}/1.png")
    for path in (*(folder / each for each in few), made / "source/index.csv", made / "source_labels/1.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    (made / "source/images").mkdir()
    for number in range(IMAGES):
        (made / f"source/images/{number:05d}.png").write_text(f"{number}\n")


def _seconds(command: tuple[str, ...], folder: Path) -> float:
    taken = timing.seconds(lambda: _run(command, folder))
    print(f"status_scale: {' '.join(command[2:])} takes {taken:.1f} s", flush=True)
    return taken


def _run(command: tuple[str, ...], folder: Path) -> None:
    """With this Python first on the PATH; UserError with the end of its output where it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    if found.returncode:
        fix = f"see its output: {found.stdout[-1500:]}"
        raise UserError(" ".join(command), f"exit code {found.returncode}", "a git checkout", fix)
