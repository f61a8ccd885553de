"""The paper's own setting, ResNet-101 and 19 classes, end to end on trees of a few images.

`python -m pytest -m paper tests/drivers/test_paper.py`: some minutes and 3 GB of disk.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from intrada.data.datasets import toycity
from intrada.models import build_model
from tests.support import project as projects
from tests.support.project import ROOT, TRAINING, Project

pytestmark = pytest.mark.paper

INIT = "data/weights/resnet101_imagenet.pth"


def imagenet_file(path: Path) -> None:
    """Random weights in the format of the published ImageNet file: names behind `Scale.`, another head."""
    torch.manual_seed(0)
    state = build_model("deeplabv2", 19, {"backbone": "resnet101", "heads": "four"}).state_dict()
    backbone = {name: value for name, value in state.items() if not name.startswith(("layer5", "layer6"))}
    path.parent.mkdir(parents=True)
    torch.save({f"Scale.{name}": value for name, value in backbone.items()}, path)


def paper(folder: Path) -> Project:
    """A checkout with the preset at a small size, two iterations each, and data in the real layouts."""
    project = projects.make(folder)
    shutil.copyfile(ROOT / "presets/gta5_to_cityscapes.yaml", folder / "params.yaml")
    how = ((96, 64), 1, lambda items, *_: items)
    toycity.write_source(folder / "data/raw/GTA5", 1, 3, *how)
    toycity.write_target(folder / "data/raw/Cityscapes", 2, 4, 2, *how)
    imagenet_file(folder / INIT)
    changes = {f"preprocess__{name}__size": [64, 32] for name in ("source", "target", "val")}
    absent = project.params()["classes"]
    changes |= {f"preprocess__{name}__allow_absent": absent for name in ("source", "target", "val")}
    for stage in TRAINING:
        changes |= {f"{stage}__iterations": 2, f"{stage}__log_every": 1, f"{stage}__checkpoints_kept": 1}
    project.set_params(**changes)
    return project


def test_the_published_setting_runs_from_raw_folders_to_the_tables(tmp_path: Path) -> None:
    project = paper(tmp_path / "checkout")
    project.snakemake()
    assert {line["outcome"] for line in project.executed()} == {"done"}
    for model in ("source", "inter", "intra"):
        metrics = json.loads((project.folder / f"results/evaluate/{model}/metrics.json").read_text())
        assert {"mIoU_19", "mIoU_16", "mIoU_13"} < metrics.keys()
    split = (project.folder / "results/rank/split.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[1] for line in split] == ["subset", "easy", "easy", "hard", "hard"]
    assert project.stages_run_by(project.dvc) == []
