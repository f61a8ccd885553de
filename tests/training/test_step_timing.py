"""The measured time of the training stages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from intrada.__main__ import main
from intrada.core.config import plain_yaml
from intrada.core.config.load import validate
from intrada.core.config.schema import Params
from intrada.data.train_batches import TrainBatch
from intrada.pipeline import run_progress
from intrada.training import cost_estimate, step_timing
from intrada.training.trainer import Trainer
from tests.support.definition import ROOT
from tests.support.tiny_project import ORDER, PARAMS, change, run, tree, write_params

CPU = torch.device("cpu")


def params_with(**changes: Any) -> Params:
    return validate(PARAMS, change(tree(), **changes))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[tuple[int, int]]]:
    """Replace a step by one that takes a second per 100,000 pixels; the sizes of all steps."""
    measured = list[Sequence[tuple[int, int]]]()

    def duration(trainer: object, params: object, stage: str, sizes: Any, clock: object) -> float:
        measured.append(sizes)
        return float(sum(width * height for width, height in sizes) / 1e5)

    monkeypatch.setattr(step_timing, "_duration", duration)
    return measured


def cost(width: int, height: int, activations: int = 1) -> cost_estimate.Cost:
    return cost_estimate.Cost("train_inter", "advent", 2, ((width, height),) * 2, 300, 1, activations, 10**9)


def test_a_step_is_measured_at_its_real_size_and_all_iterations_take_as_long(steps: list[Any]) -> None:
    [taken] = step_timing.measure_all(params_with(), [cost(200, 100)], CPU, busy=False)
    assert steps[-1] == [(200, 100)] * 2 and taken.fraction == 1
    assert taken.step == pytest.approx(0.4) and taken.seconds == pytest.approx(120)


def test_a_long_step_is_measured_on_smaller_images(steps: list[Any]) -> None:
    [taken] = step_timing.measure_all(params_with(), [cost(2000, 1000)], CPU, busy=False, longest=1.0)
    (width, height), _ = steps[-1]
    assert 50_000 < width * height < 70_000 and width % 32 == height % 32 == 0 and width > 1.8 * height
    assert taken.step == pytest.approx(40) and taken.fraction == pytest.approx(width * height / 2e6)
    assert len(steps) == 3 + step_timing.MOST  # of the time of a monkey


def test_a_step_that_needs_more_than_half_of_the_free_memory_is_measured_on_smaller_images(
    steps: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_timing, "_free", lambda: 10**9)
    step_timing.measure_all(params_with(), [cost(200, 200, activations=2 * 10**9)], CPU, busy=False)
    (width, height), _ = steps[-1]
    assert width == height == 128


def test_on_a_busy_machine_the_processor_time_of_one_thread_is_divided_by_the_gain_of_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = list[int]()

    def duration(trainer: object, params: object, stage: str, sizes: object, clock: Any) -> float:
        threads.append(torch.get_num_threads())
        assert clock is time.process_time
        return 3.0

    monkeypatch.setattr(step_timing, "_duration", duration)
    monkeypatch.setattr(step_timing.psutil, "cpu_count", lambda: 8)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    [taken] = step_timing.measure_all(params_with(compute__threads=2), [cost(64, 32)], CPU, busy=True)
    assert set(threads) == {1} and torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert taken.step == pytest.approx(3 / 2**0.6)
    assert step_timing.gain(1) == 1 and step_timing.gain(64) == 8**0.6


def test_the_time_is_that_of_single_steps_of_the_stage_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    now, seen = [0.0], list[tuple[int, tuple[int, ...]]]()

    def step(trainer: Trainer, batch: TrainBatch, has_labels: bool) -> None:
        assert has_labels and batch.target and not batch.supervised
        seen.append((trainer.iteration, tuple(batch.source.image.shape)))
        trainer.iteration += 1
        now[0] += 0.25

    params = params_with()
    cost = cost_estimate.estimate_stage(params, "train_inter")
    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    [taken] = step_timing.measure_all(params, [cost], CPU, busy=True)
    assert taken.step == pytest.approx(0.25) and taken.low == taken.high == 1
    assert set(seen) == {(0, (2, 3, 32, 64))} and len(seen) == 3 + step_timing.MOST


def test_a_cpu_is_busy_if_other_programs_use_a_quarter_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    used = [24.0, 26.0, 90.0]
    monkeypatch.setattr(step_timing.psutil, "cpu_percent", lambda interval: used.pop(0))
    assert [step_timing.is_busy(torch.device(name)) for name in ("cpu", "cpu", "cuda")] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "seconds, text", [(38.7, "39 s"), (119, "119 s"), (600, "10 min"), (7100, "118 min"), (9000, "2.5 h")]
)
def test_a_duration_is_written_in_its_own_unit(seconds: float, text: str) -> None:
    assert step_timing.words(seconds) == text


def test_stages_are_measured_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    order = list[str]()

    def duration(trainer: object, params: object, stage: str, sizes: object, clock: object) -> float:
        order.append(stage)
        return 1.0

    monkeypatch.setattr(step_timing, "_duration", duration)
    monkeypatch.setattr(step_timing, "MOST", step_timing.REPEATS)
    params = params_with()
    costs = [cost_estimate.estimate_stage(params, name) for name in ("train_source", "train_inter")]
    step_timing.measure_all(params, costs, CPU, busy=False)
    assert order[-6:] == ["train_source", "train_inter"] * 3


@pytest.mark.idle
def test_the_trainings_of_the_demo_take_as_long_as_estimated(checkout: Path) -> None:
    """On a fifth of their iterations, with images of the same size and batches of the same number."""
    if step_timing.is_busy(CPU):
        pytest.skip("needs a machine on which no other program runs: python -m pytest -m idle")
    demo: Any = plain_yaml.read(ROOT / "params.yaml")
    demo["toycity"]["source"]["images"], demo["toycity"]["target"]["train"] = 40, 40
    for name in ("train_source", "train_inter", "train_intra"):
        for key in ("iterations", "max_iters", "snapshot_every"):
            demo[name][key] //= 5
    write_params(demo)
    params = validate(PARAMS, demo)
    times = step_timing.measure_all(params, cost_estimate.estimate_all(params), CPU, busy=False)
    for job in ORDER[: ORDER.index("train_intra") + 1]:
        assert run(job) == 0
    took = {one.job: one.end - one.start for one in run_progress.ended()}
    expected = sum(one.seconds for one in times)
    actual = sum(took[name] for name in ("train_source", "train_inter", "train_intra"))
    assert expected / 1.5 < actual < expected * 1.5


def test_the_command_says_when_other_programs_use_the_machine(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_timing.psutil, "cpu_percent", lambda interval: 100.0)
    monkeypatch.setattr(step_timing, "MOST", 1)
    assert main(["estimate"]) == 0
    assert "Other programs use this machine" in capsys.readouterr().out
