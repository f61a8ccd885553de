"""A short run of tests/support/chaos.py: part of the pipeline, without a driver, killed three times."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.support import chaos, tiny_project
from tests.support.chaos_phases import CHECKPOINT, OUTPUT, START, Hit
from tests.support.project import Project

JOBS = ("train_inter", "score")


@pytest.mark.slow
def test_a_pipeline_killed_at_any_moment_makes_the_same_bytes(project: Path, tmp_path: Path) -> None:
    params = tiny_project.tree()
    params["train_inter"] |= {"iterations": 20, "max_iters": 20, "checkpoint_every": 5, "snapshot_every": 10}
    tiny_project.write_params(params)
    for job in JOBS:
        shutil.rmtree(f"results/{job}")
    reference, chaotic = Project(project), Project(tmp_path / "chaotic")
    shutil.copytree(reference.folder, chaotic.folder)
    assert [tiny_project.run(job) for job in JOBS] == [0, 0]
    assert len(chaos.differences(reference, chaotic)) > 10
    chaos.write_script(chaotic, JOBS)
    aims = (CHECKPOINT, chaos.RANDOM, OUTPUT)
    hits = chaos.attack(chaotic, chaos.COMMANDS["cli"], 3, random.Random(0), 6, len(JOBS), aims)
    assert [hits[0].phase, hits[2].phase] == [CHECKPOINT, OUTPUT] and len(hits) == 3
    assert chaos.differences(reference, chaotic) == []
    assert not list(chaotic.folder.glob("r*/**/.*.tmp*"))


def test_an_artifact_that_differs_is_named(tmp_path: Path) -> None:
    first, second = Project(tmp_path / "first"), Project(tmp_path / "second")
    for project in (first, second):
        (project.folder / "results").mkdir(parents=True)
        (project.folder / "results/a").write_text("a")
    assert chaos.differences(first, second) == []
    (first.folder / "results/a").write_text("b")
    (second.folder / "results/.b.tmp").touch()
    assert chaos.differences(first, second) == ["results/.b.tmp", "results/a"]


def test_the_table_counts_the_stages_of_each_phase() -> None:
    hits = [Hit(("rank",), OUTPUT), Hit(("rank",), OUTPUT), Hit(("train_intra",), START)]
    lines = chaos.chaos_phases.table(hits).splitlines()
    assert "| output write | 2 | rank 2 |" in lines and "| training start-up | 1 | train_intra 1 |" in lines
    assert "| DVC commit | 0 |  |" in lines
