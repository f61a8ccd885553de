"""The time and memory that jobs ask a cluster for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from intrada.core.config.schema import Params
from intrada.pipeline import execution_log, job_size, run_progress, workload
from intrada.pipeline.bridge import Stage
from intrada.pipeline.dvc_api import Definition
from intrada.pipeline.job_size import Size
from intrada.training import cost_estimate
from tests.support.tiny_project import change


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params_tree: dict[str, Any]) -> Params:
    """Trainings of 4 iterations on two threads of a CPU."""
    monkeypatch.chdir(tmp_path)
    return Params.model_validate(change(params_tree, compute__threads=2, compute__device="cpu"))


def stage(name: str, project: str = ".", **resources: int) -> Stage:
    return Stage(Definition(name, name, [], [], [], {}), project, [], [], 1, resources)


@pytest.mark.parametrize("seconds, minutes", [(None, 60), (0, 10), (1, 11), (600, 30), (86_400, 2890)])
def test_the_limit_is_ten_minutes_and_twice_the_expected_time(seconds: float | None, minutes: int) -> None:
    assert job_size.minutes(seconds) == minutes


def test_before_the_first_run_the_time_is_that_of_the_flops_at_a_slow_speed(params: Params) -> None:
    """4 iterations of 1e13 FLOP: 4000 s at 2 x 5e9 FLOP/s. A GPU is assumed to do 4e12 FLOP/s: 10 s."""
    flop = dict.fromkeys(job_size.TRAININGS, 10**13)
    names = ["train_source", "report", "rank_round@r2"]
    assert job_size.expected_seconds(names, params, flop) == {names[0]: 4000, names[1]: None, names[2]: None}
    on_gpus = params.model_copy(
        update={"compute": params.compute.model_copy(update={"device": "auto", "devices": 2})}
    )
    assert job_size.expected_seconds(names[:1], on_gpus, flop) == {names[0]: 5}


def test_inference_is_three_times_as_fast_as_the_training_for_each_pixel(params: Params) -> None:
    flop = dict.fromkeys(job_size.TRAININGS, 10**13)
    speed = workload.of_job("train_intra", params).amount / 4000
    expected = workload.of_job("score", params).amount / (3 * speed)
    assert job_size.expected_seconds(["score"], params, flop) == {"score": pytest.approx(expected)}


def test_a_measured_run_comes_before_the_assumed_speed(params: Params) -> None:
    start = 1_000_000.0
    begun, ended = (datetime.fromtimestamp(at, UTC).isoformat() for at in (start, start + 123))
    work = workload.of_job("train_source", params)
    entry = {"stage": "train_source", "start": begun, "end": ended, "outcome": "done"}
    execution_log.LOG.parent.mkdir(exist_ok=True)
    line = execution_log.json.dumps(entry | {"work": {"unit": work.unit, "amount": work.amount}})
    execution_log.LOG.write_text(line + "\n")
    flop = dict.fromkeys(job_size.TRAININGS, 10**13)
    assert job_size.expected_seconds(["train_source"], params, flop) == {"train_source": 123}


@pytest.mark.parametrize("device, seconds", [("cpu", 77), ("auto", 0)])
def test_an_estimate_made_on_this_machine_counts_for_cpus_only(
    params: Params, device: str, seconds: float
) -> None:
    run_progress.keep_estimate({"train_inter": 77}, params)
    changed = params.model_copy(update={"compute": params.compute.model_copy(update={"device": device})})
    found = job_size.expected_seconds(["train_inter"], changed, dict.fromkeys(job_size.TRAININGS, 0))
    assert found == {"train_inter": seconds}


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_memory_is_twice_that_of_the_estimate_on_a_cpu_and_without_activations_on_a_gpu(
    params: Params, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    costs = [
        cost_estimate.Cost(name, "advent", 1, (), 4, weights=10**9, activations=3 * 10**9, flop=0)
        for name in job_size.TRAININGS
    ]
    monkeypatch.setattr(cost_estimate, "estimate_all", lambda _: costs)
    changed = params.model_copy(update={"compute": params.compute.model_copy(update={"device": device})})
    found = job_size.sizes([stage("train_source"), stage("train_intra_round@r2"), stage("score")], changed)
    training = 4000 + 2 * (4000 if device == "cpu" else 1000)
    assert [size.mem_mb for size in found.values()] == [training, training, 4000]


def test_dvc_yaml_may_give_the_size_and_the_ablation_gets_a_day(params: Params) -> None:
    stages = [stage("train_inter", runtime=7, mem_mb=99), stage("rank", mem_mb=5), stage("cell", "ablation")]
    assert job_size.sizes(stages, params) == {
        "train_inter": Size(7, 99),
        "rank": Size(60, 5),
        "ablation_cell": Size(24 * 60, 4000),
    }
