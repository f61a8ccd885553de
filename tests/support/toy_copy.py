"""The toy city as data of one's own, without a label of the target, and the results that do not show it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.support.project import TRAINING, Project


def _trained(stages: Sequence[str]) -> list[str]:
    """Return the outputs of these trainings."""
    return [
        f"results/{stage}/{name}"
        for stage in stages
        for name in ("last.safetensors", "snapshots", "losses.csv")
    ]


STEP_1 = ("data/preprocess/target/index.csv", "data/preprocess/target/images", *_trained(TRAINING[:2]))
EVERYTHING = (
    *STEP_1,
    *_trained(TRAINING[2:]),
    "results/score",
    "results/rank",
    "results/pseudo_label",
    "results/evaluate",
)


def use_without_target_labels(project: Project, first: Project, folder: Path) -> None:
    """Give a project the raw data of `first` as data of its own, less every label of the target's training images.

    They lie on another disk, so to say: below `folder`, behind a link, in a folder with a space in its name. The
    initial weights of step 3 lie outside of the project, without a link.
    """
    disk, link = folder / "disk", project.folder / "data/raw/my disk"
    shutil.copytree(first.folder / "data/raw/toycity", disk)
    shutil.rmtree(disk / "cityscapes/gtFine/train")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(disk)
    roots = {"source": "gta5", "target": "cityscapes", "val": "cityscapes"}
    changes = {f"preprocess__{domain}__root": f"data/raw/my disk/{name}" for domain, name in roots.items()}
    weights = shutil.copy(first.folder / "results/train_inter/last.safetensors", folder / "own.safetensors")
    project.set_params(toycity={}, train_intra__init=str(weights), **changes)
