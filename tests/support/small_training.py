"""Tiny trainings in the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.data import tables
from intrada.models import MODELS
from intrada.pipeline import code_hash, stage_runner
from tests.support.tiny_project import PARAMS, change, tree, write_params

MODEL, LOSSES = Path("model.safetensors"), Path("losses.csv")
OPTIONS = {
    "source": Path("source.csv"),
    "sources": Path("sources.csv"),
    "target": Path("target.csv"),
    "init": Path("weights/random"),
    "model": MODEL,
    "snapshots": Path("snapshots"),
    "losses": LOSSES,
}
RUNS = Path("runs/train_inter")
ITERATIONS = 8


@pytest.fixture(autouse=True)
def folder(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five source and three target images, and params for eight iterations of a tiny network."""
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")
    # it hashes modules of the package alone, and this network is none
    monkeypatch.setattr(code_hash, "of_stage", lambda stage, *_: {stage: f"the code of {stage}"})
    index("source", 5)
    index("target", 3)
    tables.write(Path("sources.csv"), pd.DataFrame(columns=list(tables.SETS.columns)), tables.SETS)
    setup()
    return checkout


def index(domain: str, count: int) -> None:
    random, rows = np.random.default_rng(count), []
    for number in range(count):
        name, label = f"{domain}{number}", ""
        files.write_image(Path(f"{name}.png"), random.integers(0, 256, (32, 64, 3), np.uint8))
        if domain == "source":
            label = f"{name}_label.png"
            files.write_label(Path(label), random.integers(0, 3, (32, 64), np.uint8), [])
        rows.append((name, f"{name}.png", label, 64, 32))
    tables.write(Path(f"{domain}.csv"), pd.DataFrame(rows, columns=tables.INDEX_COLUMNS), tables.INDEX)


def setup(**changes: Any) -> None:
    params = change(
        tree(), classes=["sky", "road", "car"], model={"name": "tiny", "options": {"dropout": 0.3}}
    )
    params["train_inter"] |= {"iterations": ITERATIONS, "max_iters": ITERATIONS, **changes}
    write_params(params)


def current() -> dict[str, Any]:
    loaded: dict[str, Any] = plain_yaml.parse(PARAMS.read_text())
    return loaded


def train() -> tuple[bytes, str]:
    """Run the stage; return the bytes of the model and the text of losses.csv."""
    stage_runner.execute("train_inter", PARAMS, OPTIONS)
    return MODEL.read_bytes(), LOSSES.read_text()


def snapshot_files() -> dict[str, bytes]:
    """Return the snapshots of the stage's output: the bytes by file name."""
    return {path.name: path.read_bytes() for path in sorted(Path("snapshots").iterdir())}


def checkpoints() -> list[int]:
    return [int(path.stem.removeprefix("checkpoint_")) for path in sorted(RUNS.glob("*/checkpoint_*.pt"))]
