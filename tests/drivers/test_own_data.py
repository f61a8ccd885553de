"""No target label is needed, a killed driver goes on by itself, and neither leaves a trace in a result."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import project as projects
from tests.support.project import DVC, SNAKEMAKE, TRAINING, Project

pytestmark = pytest.mark.drivers


def trained(stages: Sequence[str]) -> list[str]:
    """The outputs of these trainings."""
    return [
        f"results/{stage}/{name}"
        for stage in stages
        for name in ("last.safetensors", "snapshots", "losses.csv")
    ]


STEP_1 = ("data/preprocess/target/index.csv", "data/preprocess/target/images", *trained(TRAINING[:2]))
EVERYTHING = (
    *STEP_1,
    *trained(TRAINING[2:]),
    "results/score",
    "results/rank",
    "results/pseudo_label",
    "results/evaluate",
)


@pytest.mark.parametrize(
    ("command", "made"),
    [((*DVC, "repro", "train_inter"), STEP_1), (SNAKEMAKE, EVERYTHING)],
    ids=["dvc", "snakemake"],
)
def test_without_target_labels_and_killed_midway_all_bytes_are_the_same(
    first: Project, tmp_path: Path, command: tuple[str, ...], made: tuple[str, ...]
) -> None:
    """By snakemake to the report, by dvc to the end of the training that was killed."""
    project = _without_target_labels(first, tmp_path)
    with projects.started(project, *command) as process:
        projects.wait_for(project, "runs/train_inter/*/checkpoint_*.pt")
        os.killpg(process.pid, signal.SIGKILL)
    project.run(*command)
    assert project.contents(*made) == first.contents(*made)
    if made is EVERYTHING:
        assert "images have no labels" in (project.folder / "results/report/diagnosis.json").read_text()


def _without_target_labels(first: Project, folder: Path) -> Project:
    """The same raw data as data of one's own, less every label of the target's training images.

    They lie on another disk, so to say: behind a link, in a folder with a space in its name. The initial
    weights of step 3 lie outside of the checkout, without a link.
    """
    project = projects.make(folder / "checkout")
    disk, link = folder / "disk", project.folder / "data/raw/my disk"
    shutil.copytree(first.folder / "data/raw/toycity", disk)
    shutil.rmtree(disk / "cityscapes/gtFine/train")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(disk)
    roots = {"source": "gta5", "target": "cityscapes", "val": "cityscapes"}
    changes = {f"preprocess__{domain}__root": f"data/raw/my disk/{name}" for domain, name in roots.items()}
    weights = shutil.copy(first.folder / "results/train_inter/last.safetensors", folder / "own.safetensors")
    project.set_params(toycity={}, train_intra__init=str(weights), **changes)
    return project
