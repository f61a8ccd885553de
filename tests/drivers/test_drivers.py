"""dvc and snakemake on one checkout, in any order: what runs is read from the execution log."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.drivers import project as projects
from tests.drivers.project import DRIVERS, Project

pytestmark = pytest.mark.drivers

GPU_STAGES = ("train_source", "train_inter", "train_intra", "score", "evaluate")
# the intra model is evaluated twice: alone, and beside the other snapshots of its run
AFTER_LAMBDA = [
    "evaluate@intra", "evaluate_snapshots@intra", "pseudo_label", "rank", "report", "train_intra",
]  # fmt: skip
EVERYTHING = 19  # jobs of the card, the evaluations and preprocess counted three times, toycity twice


def by(project: Project, driver: str) -> Callable[[], subprocess.CompletedProcess[str]]:
    return lambda: DRIVERS[driver](project)


def test_snakemake_runs_every_stage_once(first: Project) -> None:
    names = [line["stage"] for line in first.executed()[:EVERYTHING]]
    assert len(set(names)) == EVERYTHING
    assert {line["outcome"] for line in first.executed()} == {"done"}


def test_gpu_stages_take_turns_and_the_preprocess_jobs_do_not(first: Project) -> None:
    """On three cores with no --resources: the first run's log and its execution log."""
    lines = [line for line in first.executed()[:EVERYTHING] if line["stage"].startswith(GPU_STAGES)]
    spans = sorted((line["start"], line["end"]) for line in lines)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    batches = (first.folder / "first_run.log").read_text().split("Execute ")
    together = [set(re.findall(r"^Job \d+: (\S+):", batch, re.M)) for batch in batches]
    assert {"preprocess@source", "preprocess@target", "preprocess@val"} in together
    assert max(sum(name.startswith(GPU_STAGES) for name in batch) for batch in together) == 1


def test_the_rules_have_the_edges_of_the_stages(first: Project) -> None:
    """Between stages: Snakemake's graph of jobs against `dvc dag`."""
    dot = first.snakemake("--forceall", "--dag", "dot").stdout
    rules = dict(re.findall(r"^\s*(\d+)\[label = \"(\w+)", dot, re.M))
    seen = {(rules[a], rules[b]) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.M)}
    dag = first.dvc("dag", "--dot").stdout
    due = {(a.replace("@", "_"), b.replace("@", "_")) for a, b in re.findall(r'"(\S+)" -> "(\S+)"', dag)}
    assert {edge for edge in seen if "all" not in edge} == due


@pytest.mark.parametrize(
    ("driver", "other", "fraction"), [("dvc", "snakemake", 0.34), ("snakemake", "dvc", 0.84)]
)
def test_a_change_of_lambda_runs_what_follows_once_whoever_ran_before(
    project: Project, driver: str, other: str, fraction: float
) -> None:
    assert project.stages_run_by(by(project, other)) == []
    project.set_params(rank__easy_fraction=fraction)
    assert project.stages_run_by(by(project, driver)) == AFTER_LAMBDA
    assert project.stages_run_by(by(project, other)) == []
    project.set_params(rank__easy_fraction=0.67)  # DVC's run cache remembers
    assert project.stages_run_by(by(project, driver)) == []


def test_a_parameter_of_the_evaluation_runs_evaluations_and_report_two_at_once_on_two_gpus(
    project: Project,
) -> None:
    project.set_params(evaluate__batch_size=2)
    before = len(project.executed())
    output = project.snakemake("--cores", "3", "--resources", "gpu=2").stdout
    ran = sorted(line["stage"] for line in project.executed()[before:])
    assert [name for name in ran if name != "report"] == [
        "evaluate@inter",
        "evaluate@intra",
        "evaluate@source",
    ]
    batches = [re.findall(r"^Job \d+: (\S+):", part, re.M) for part in output.split("Execute ")]
    assert max(sum(name.startswith(GPU_STAGES) for name in batch) for batch in batches) == 2


def test_a_change_of_the_ranking_code_goes_as_far_as_its_output_differs(project: Project) -> None:
    module = project.folder / "intrada/ranking.py"
    before = module.read_text()
    module.write_text(before + "# a comment\n")
    assert project.stages_run_by(project.snakemake) == ["rank"]
    module.write_text(before.replace("np.argsort(scores", "np.argsort(-scores"))
    assert project.stages_run_by(project.dvc) == AFTER_LAMBDA
    module.write_text(before)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_lost_or_truncated_artifact_comes_back_without_computation(project: Project, driver: str) -> None:
    split, labels = project.folder / "results/rank/split.csv", "results/pseudo_label/labels"
    due = project.contents("results/rank/split.csv", labels)
    split.write_bytes(split.read_bytes()[:40])
    for file in (project.folder / labels).iterdir():
        file.unlink()
    assert project.stages_run_by(by(project, driver)) == []
    assert project.contents("results/rank/split.csv", labels) == due


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
    due = [*(f"{stage}_round@r2" for stage in stages), "evaluate@r2", "evaluate_snapshots@r2", "report"]
    assert project.stages_run_by(project.snakemake) == sorted(due)
    assert "| r2 |" in (project.folder / "results/report/table.md").read_text()


def test_metrics_have_one_row_a_model(first: Project) -> None:
    rows = first.dvc("metrics", "show", "--md").stdout.strip().splitlines()[2:]
    names = sorted(row.split("|")[1].strip() for row in rows)
    assert names == [f"results/evaluate/{model}/metrics.json" for model in ("inter", "intra", "source")]


def test_an_experiment_with_another_lambda_runs(project: Project) -> None:
    ran = project.stages_run_by(lambda: project.dvc("exp", "run", "-S", "rank.easy_fraction=0.5"))
    assert ran == AFTER_LAMBDA
    assert project.params()["rank"]["easy_fraction"] == 0.5


def test_a_second_snakemake_names_the_first_and_leaves_everything_alone(project: Project) -> None:
    """The first is played by a process that holds the lock and does not let go until it is killed."""
    hold = "import time; from workflow import bridge; held = bridge.hold_lock(); print(flush=True); time.sleep(600)"
    with projects.started(project, sys.executable, "-c", hold) as process:
        assert process.stdout
        process.stdout.readline()
        second = project.snakemake(ok=False)
        assert f"process {process.pid}" in second.stdout
    assert second.returncode != 0
    assert project.snakemake().returncode == 0
