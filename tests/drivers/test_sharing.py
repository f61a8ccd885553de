"""A result goes to a DVC remote and comes back in a fresh clone, where nothing is computed (docs/how-to/share.md)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import Project

pytestmark = pytest.mark.drivers


def test_a_fresh_clone_pulls_a_result_and_computes_nothing(first: Project, tmp_path: Path) -> None:
    own = Project(shutil.copytree(first.folder, tmp_path / "own", symlinks=True))
    own.dvc("remote", "add", "--default", "team", str(tmp_path / "remote"))
    own.commit("first result")
    own.dvc("push")
    own.run("git", "clone", "-q", str(own.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("pull")
    made = ("results/report", "results/train_intra", "results/score")
    assert clone.contents(*made) == own.contents(*made)
    assert clone.stages_run_by(clone.snakemake) == []
    assert clone.stages_run_by(clone.dvc) == []
    assert "jobs are consistent" in clone.run("python", "-m", "intrada", "verify").stdout
