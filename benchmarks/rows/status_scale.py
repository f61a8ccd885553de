"""The time to see that 25,000 images are up to date, and the CPU time to check them and start a training."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import Row, timing
from intrada.core import children, files, hash_cache
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.data import tables

IMAGES = 25_000
ALLOWED = 10.0  # seconds of either driver
ALLOWED_CPU = 30.0  # of check, with images that did not change since the last check, and of a training
SIZE = (64, 32)
DVC = (sys.executable, "-m", "dvc")
COMMIT = (*DVC, "commit", "--force", "preprocess@source")
STATUS = (*DVC, "status", "dvc.yaml")
DRY_RUN = (sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--quiet")
OWN = (sys.executable, "-m", "intrada")
VALIDATE = (*OWN, "validate", "--out", "results/validate/params.json", "--code", "results/code")
DOMAINS = {"source": IMAGES, "target": 2, "val": 2}
ROOTS = tuple(word for name in DOMAINS for word in (f"--{name}", f"raw/{name}"))
CHECK = (*OWN, "check", *ROOTS, "--stamp", "stamp.json", "--out", "found.json")
OUTPUTS = ("--model", "last.safetensors", "--snapshots", "snapshots", "--losses", "losses.csv")
INPUTS = ("--source", "index.csv", "--sources", "sources.csv", "--init", "weights/random")
TRAIN = (*OWN, "train_source", *INPUTS, *OUTPUTS)
OPTIONS = {"images": "images/*.png", "labels": "labels/{stem}.png", "mapping": {"road": [1], "sky": [2]}}


def measure() -> Row:
    """Return the CPU seconds of the start and ALLOWED_CPU; uncommitted changes are not measured.

    The ratio is the larger one of this and of the slower driver's seconds and ALLOWED.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "checkout")
        _run(("git", "clone", "--quiet", ".", str(folder)), Path())
        _run(VALIDATE, folder)  # writes the hashes of the code, on which the stages depend
        _fill(folder)
        _seconds(COMMIT, folder)
        slower = max(_seconds(command, folder) for command in (STATUS, DRY_RUN))
        _draw(folder)
        time.sleep(2 * hash_cache.MIN_AGE_NS / 1e9)  # younger files are in no cache
        _cpu_seconds(CHECK, folder)
        _cpu_seconds(TRAIN, folder)
        shutil.rmtree(folder / "runs")  # the checkpoints
        start = _cpu_seconds(CHECK, folder) + _cpu_seconds(TRAIN, folder)
    return Row("status_scale", start, ALLOWED_CPU, max(start / ALLOWED_CPU, slower / ALLOWED), "s", "under 1")


def _draw(folder: Path) -> None:
    """Write the images with labels, an index of the source, and params for a training of one iteration."""
    params: Any = plain_yaml.read(folder / "presets/toycity.yaml")
    params |= {"classes": ["road", "sky"], "toycity": {}}
    for name, block in params["preprocess"].items():
        block |= {"dataset": "folders", "root": f"raw/{name}", "split": "all", "size": list(SIZE)}
        block["options"] = OPTIONS
    params["train_source"] |= {"iterations": 1, "max_iters": 1}
    params["rank"]["rare_classes"] = []
    (folder / "params.yaml").write_text(plain_yaml.dump(params), encoding="utf-8")
    label = np.resize(np.array([1, 2], np.uint8), SIZE[::-1])
    rows = []
    for name, count in DOMAINS.items():
        for number in range(count):
            image = np.full((*SIZE[::-1], 3), number % 256, np.uint8)
            paths = [f"raw/{name}/{kind}/{number:05d}.png" for kind in ("images", "labels")]
            files.write_image(folder / paths[0], image, "png")
            files.write_label(folder / paths[1], label, [0, 0, 0, 128, 64, 128, 70, 130, 180])
            rows.append((f"{number:05d}", *paths, *SIZE))
    index = pd.DataFrame(rows[: DOMAINS["source"]], columns=tables.INDEX_COLUMNS)
    tables.write(folder / "index.csv", index, tables.INDEX)
    tables.write(folder / "sources.csv", pd.DataFrame(columns=list(tables.SETS.columns)), tables.SETS)


def _cpu_seconds(command: tuple[str, ...], folder: Path) -> float:
    before = os.times()
    _run(command, folder)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"status_scale: {command[3]} takes {used:.1f} s of CPU", flush=True)
    return used


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
    result = children.run(command, folder, {**os.environ, "PATH": path}, capture=True)
    if result.returncode:
        fix = f"see its output: {result.stdout[-1500:]}"
        raise UserError(" ".join(command), f"exit code {result.returncode}", "a git checkout", fix)
