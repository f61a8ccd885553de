"""A training that goes on from a checkpoint gives the same bytes."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from torch.utils.tensorboard.writer import SummaryWriter

from intrada.training import trainer
from tests.support.small_training import ITERATIONS, RUNS, checkpoints, current, setup, snapshot_files, train
from tests.support.small_training import folder as folder  # a fixture
from tests.support.tiny_project import change, write_params


def interrupted(monkeypatch: pytest.MonkeyPatch, iteration: int, error: BaseException) -> None:
    """Run the stage and raise `error` when it computes the losses of `iteration`."""
    original, calls = trainer.training_step, iter(range(1, 1000))

    def training_step(*arguments: Any) -> Any:
        if next(calls) == iteration:
            raise error
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "training_step", training_step)
        with pytest.raises(type(error)):
            train()


# losses.csv has a row every 2 iterations: checkpoints every 4 are at a row, those every 3 partly between rows
@pytest.mark.parametrize(
    "method, every, stop, remaining",
    [
        ("advent", 4, 7, [4]),
        ("advent", 3, 6, [3]),
        ("advent", 3, 8, [3, 6]),
        ("advent", 5, 3, []),
        ("bn_only", 3, 5, [3]),
        ("source_only", 3, 5, [3]),
    ],
)
def test_a_resumed_run_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, method: str, every: int, stop: int, remaining: list[int]
) -> None:
    setup(method=method, checkpoint_every=every, snapshot_every=2)
    expected, snapshots = train(), snapshot_files()
    assert len(snapshots) == 3
    shutil.rmtree("runs")
    interrupted(monkeypatch, stop, KeyboardInterrupt())
    assert checkpoints() == remaining
    torch.manual_seed(99)  # a new process has another random state
    steps: list[int] = []
    original = trainer.Trainer.step

    def step(self: trainer.Trainer, *batches: Any) -> Any:
        steps.append(self.iteration)
        return original(self, *batches)

    monkeypatch.setattr(trainer.Trainer, "step", step)
    assert train() == expected
    assert snapshot_files() == snapshots
    assert steps == list(range(max([0, *remaining]), ITERATIONS))  # no iteration is run twice


def test_a_resumed_run_sees_the_same_augmented_images(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = {
        "colour": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "probability": 0.8},
        "blur": {"sigma": [0.2, 1.0], "probability": 0.5},
        "jpeg": {"quality": [20, 90], "probability": 0.5},
        "scale": [0.8, 1.5],
        "crop": {"size": [40, 32], "cat_max_ratio": 0.75, "tries": 10},
    }
    setup(augment={"flip": True, "jitter": 0.1, **colours}, checkpoint_every=3)
    expected = train()
    shutil.rmtree("runs")
    interrupted(monkeypatch, 6, KeyboardInterrupt())
    assert checkpoints() == [3]
    assert train() == expected


def test_a_run_resumed_twice_with_a_truncated_checkpoint_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup(checkpoint_every=2, ema=0.9)
    expected = train()
    shutil.rmtree("runs")
    interrupted(monkeypatch, 6, KeyboardInterrupt())
    assert checkpoints() == [2, 4]
    [newest] = RUNS.glob("*/*4.pt")
    newest.write_bytes(newest.read_bytes()[:999])
    interrupted(monkeypatch, 6, MemoryError())  # the counter restarts: iterations 3 to 7
    assert checkpoints() == [4, 6]
    assert train() == expected


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first = train()
    shutil.rmtree("runs")
    assert train() == first
    write_params(change(current(), seed=2))
    assert train() != first


def test_a_run_with_other_params_starts_at_iteration_0_and_keeps_the_old_checkpoints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train()
    before = list(RUNS.glob("*/checkpoint_*.pt"))
    setup(power=0.5)
    train()
    assert "holds checkpoints of other params, inputs or code: not used" in capsys.readouterr().err
    assert len(list(RUNS.iterdir())) == 2 and all(path.exists() for path in before)


def test_a_resumed_run_purges_tensorboards_points_after_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    purge_steps: list[int | None] = []
    original = SummaryWriter.__init__

    def init(self: Any, *arguments: Any, purge_step: int | None = None, **options: Any) -> None:
        purge_steps.append(purge_step)
        original(self, *arguments, purge_step=purge_step, **options)

    monkeypatch.setattr(SummaryWriter, "__init__", init)
    setup(checkpoint_every=3)
    interrupted(monkeypatch, 6, KeyboardInterrupt())
    train()
    assert purge_steps == [None, 4]
    assert list(RUNS.glob("*/tensorboard/events*"))
