"""What goes wrong and what is added on one checkout: lost files, wrong params, another round."""

from __future__ import annotations

import shutil
import sys

import pytest
import yaml

from tests.support import project as projects
from tests.support.project import DRIVERS, Project, by

pytestmark = pytest.mark.drivers


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_lost_or_truncated_artifact_comes_back_without_computation(project: Project, driver: str) -> None:
    split, labels = project.folder / "results/rank/split.csv", "results/pseudo_label/labels"
    expected = project.contents("results/rank/split.csv", labels)
    split.write_bytes(split.read_bytes()[:40])
    for file in (project.folder / labels).iterdir():
        file.unlink()
    assert project.stages_run_by(by(project, driver)) == []
    assert project.contents("results/rank/split.csv", labels) == expected


@pytest.mark.parametrize("command", [projects.SNAKEMAKE, (*projects.DVC_AFTER_KILL, "repro")])
def test_after_a_kill_while_dvc_lock_was_written_nothing_is_computed_again(
    project: Project, command: tuple[str, ...]
) -> None:
    lock = project.folder / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: len(whole) // 2])
    assert project.stages_run_by(lambda: project.run(*command)) == []
    assert yaml.safe_load(lock.read_bytes()) == yaml.safe_load(whole)


@pytest.mark.parametrize(
    ("driver", "change"),
    [
        ("dvc", {"rank__easy_fraction": 1.2}),
        ("dvc", {"typo": 1}),
        ("snakemake", {"rank__easy_fractoin": 0.5}),
        ("dvc", {"preprocess__target__root": "data/raw/toycity/cityscapes; touch pwned"}),
        ("snakemake", {"train_inter__init": "weights/random$(touch pwned)"}),
    ],
)
def test_a_wrong_params_file_stops_a_driver_before_the_first_stage(
    project: Project, driver: str, change: dict[str, float | str]
) -> None:
    results = [f"results/{name}" for name in ("train_inter", "rank", "train_intra", "evaluate", "report")]
    before, ran = project.contents(*results), len(project.executed())
    project.set_params(**change)
    result = DRIVERS[driver](project, ok=False)
    assert result.returncode != 0
    assert f"params.yaml: {next(iter(change)).replace('__', '.')}" in result.stdout
    assert len(project.executed()) == ran
    assert project.contents(*results) == before
    assert not (project.folder / "pwned").exists()


def test_params_edited_during_a_stage_are_not_recorded_as_its_own(project: Project) -> None:
    """The edit happens while train_intra runs, and DVC would hash the new params after it."""
    project.set_params(train_intra__iterations=60, train_intra__max_iters=60)
    with projects.started(project, *projects.DVC, "repro") as process:
        projects.wait_for(project, "runs/train_intra/*/checkpoint_*.pt")
        project.set_params(train_intra__iterations=61, train_intra__max_iters=61)
        output, _ = process.communicate()
    assert process.returncode != 0
    assert "changed while the stage ran" in output
    assert project.executed()[-1]["outcome"] == "failed"


def test_another_round_runs_no_earlier_one_again(project: Project) -> None:
    second = {"after": "train_intra", "easy_fraction": 0.5, "init": "results/train_intra/last.safetensors"}
    project.set_params(rounds={"r2": second})
    stages = ("score", "rank", "pseudo_label", "train_intra")
    expected = [
        *(f"{stage}_round@r2" for stage in stages),
        "evaluate@r2",
        "evaluate_snapshots@r2",
        "analyse",
        "report",
    ]
    assert project.stages_run_by(project.snakemake) == sorted(expected)
    assert "| r2 |" in (project.folder / "results/report/table.md").read_text()
    for path in project.folder.glob("results/*/r2"):  # no driver removes what a stage that is gone has left
        shutil.rmtree(path)


def test_a_second_snakemake_names_the_first_and_leaves_everything_alone(project: Project) -> None:
    """The first is played by a process that holds the lock and does not let go until it is killed."""
    take = "from intrada.pipeline import plan; held = plan.hold_lock()"
    hold = f"import time; {take}; print(flush=True); time.sleep(600)"
    with projects.started(project, sys.executable, "-c", hold) as process:
        assert process.stdout
        process.stdout.readline()
        second = project.snakemake(ok=False)
        assert f"process {process.pid}" in second.stdout
    assert second.returncode != 0
    project.run(sys.executable, "-c", take)  # it ended with its process
