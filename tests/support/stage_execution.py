"""Calls of stage_runner.execute with stages that a test replaces."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intrada.core import files
from intrada.core.stage import Context
from intrada.data import tables
from intrada.pipeline import code_hash, execution_log, stage_runner
from intrada.stages import rank
from tests.support.tiny_project import PARAMS, tree

CLASSES = tree()["classes"]
RANK: dict[str, Path | str] = {"scores": Path("scores.csv"), "out": Path("split.csv")}
SCORE: dict[str, Path | str] = {
    "target": Path("index.csv"),
    "model": Path("model.safetensors"),
    "out": Path("scores.csv"),
    "predictions": Path("predictions"),
    "confidence": Path("confidence"),
}
PREPROCESS: dict[str, Path | str] = {
    "domain": "source",
    "root": Path("raw"),
    "index": Path("data/index.csv"),
    "images": Path("data/images"),
    "label_folder": Path("data/labels"),
}


@pytest.fixture(autouse=True)
def folder(checkout: Path) -> Path:
    """A checkout with the inputs of rank, score and preprocess."""
    columns = {tables.PIXELS + name: 1 for name in CLASSES}
    scores = pd.DataFrame({"image": ["a", "b", "c"], "entropy": [0.3, 0.1, 0.2], **columns})
    tables.write(Path("scores.csv"), scores, tables.SCORES)
    Path("model.safetensors").write_bytes(b"weights")
    Path("raw").mkdir()
    for path in ("a.png", "raw/a.png"):
        files.write_image(Path(path), np.zeros((2, 3, 3), np.uint8))
    index = pd.DataFrame([("a", "a.png", "", 3, 2)], columns=tables.INDEX_COLUMNS)
    tables.write(Path("index.csv"), index, tables.INDEX)
    return checkout


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, which is hashed instead of it."""
    copy = tmp_path / "copy/intrada"
    shutil.copytree(code_hash.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_hash, "PACKAGE", copy)
    return copy


def append(path: Path, text: str) -> None:
    with path.open("a") as handle:
        handle.write(text)


def leave_outputs(options: dict[str, Any]) -> None:
    """An empty file at every path that is not there."""
    for path in options.values():
        if isinstance(path, Path) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def stubbed(
    monkeypatch: pytest.MonkeyPatch, module: Any, work: Callable[[], object] = lambda: None
) -> list[Context]:
    """Let the stage do `work` alone, its outputs being empty; the contexts that it was given."""
    seen: list[Context] = []

    @functools.wraps(module.run)
    def run(params: object, **options: Any) -> None:
        seen.append(options["context"])
        leave_outputs(options)
        work()

    monkeypatch.setattr(module, "run", run)
    return seen


def execute_during(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], module: Any = rank) -> None:
    """Run rank (or another stage) for real, then do `work` before it returns."""
    original = module.run

    @functools.wraps(original)
    def run(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        work()

    monkeypatch.setattr(module, "run", run)
    stage_runner.execute("rank", PARAMS, RANK)


def log() -> list[dict[str, str]]:
    return [json.loads(line) for line in execution_log.LOG.read_text().splitlines()]


def fingerprint(stage: str = "rank", options: dict[str, Path | str] = RANK) -> str:
    stage_runner.execute(stage, PARAMS, options)
    return log()[-1]["fingerprint"]
