"""Further labelled data sets under both drivers: what is added or removed runs what depends on it, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import project as projects
from tests.support.project import Project

pytestmark = pytest.mark.drivers
OF_STEP_3 = [
    "analyse", "check_set_target_labelled@few", "evaluate@intra", "evaluate_snapshots@intra",
    "join@target_labelled", "preprocess_target_labelled@few", "report", "train_intra",
]  # fmt: skip
OF_SOURCE = ["check_set_sources@more", "join@sources", "preprocess_sources@more", "train_source"]


@pytest.fixture
def own(first: Project, tmp_path: Path) -> Project:
    """A copy of the finished checkout with the raw data of two more data sets."""
    made = Project(shutil.copytree(first.folder, tmp_path / "own", symlinks=True))
    raw = made.folder / "data/raw"
    shutil.copytree(raw / "toycity/gta5", raw / "more")
    shutil.copytree(raw / "toycity/cityscapes", raw / "few")
    return made


def data_set(project: Project, domain: str, name: str, **keys: Any) -> dict[str, Any]:
    block = project.params()["preprocess"][domain]
    return {name: {**block, "root": f"data/raw/{name}", "weight": 1, **keys}}


def recorded(project: Project, job: str) -> dict[str, Any]:
    """The newest record of a job."""
    paths = (project.folder / "logs/provenance/jobs" / job).glob("*.json")
    record: dict[str, Any] = json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())
    return record


def test_data_sets_come_and_go(own: Project) -> None:
    """Labels: only step 3 runs. A source: all trainings are planned, the first runs. Without both: nothing is computed."""
    before = own.contents("results/train_source", "results/train_inter", "results/train_intra")
    own.set_params(target_labelled=data_set(own, "target", "few", split="train:range:0:2"))
    assert own.stages_run_by(projects.by(own, "snakemake")) == OF_STEP_3
    with_labels = own.contents("results/train_source", "results/train_inter", "results/train_intra")
    assert {path for path in before if before[path] != with_labels[path]} == {
        path for path in before if path.startswith("results/train_intra/")
    }
    read = recorded(own, "train_intra")
    assert "data/preprocess/target/few/index.csv" in read["inputs"] and read["images"]
    assert own.run("python", "-m", "intrada", "verify").returncode == 0

    own.set_params(sources=data_set(own, "source", "more", weight=0.5))
    planned = {*re.findall(r"^Job \d+: (\S+):", own.snakemake("--dry-run").stdout, re.M)}
    assert {*OF_SOURCE, "train_inter", "train_intra", "report"} <= planned
    assert not planned & {"check", "preprocess@source", "preprocess@target", "join@target_labelled"}
    assert own.stages_run_by(lambda: own.dvc("repro", "train_source")) == OF_SOURCE
    name = "results/train_source/last.safetensors"
    assert (own.folder / name).read_bytes() != before[name]
    assert "data/preprocess/source/more/index.csv" in recorded(own, "train_source")["inputs"]

    own.set_params(sources={}, target_labelled={})
    assert own.stages_run_by(projects.by(own, "dvc")) == ["join@sources", "join@target_labelled"]
    assert own.contents("results/train_source", "results/train_inter", "results/train_intra") == before
    assert "up to date" in own.dvc("status").stdout
