"""The training loop: losses, learning rates, the model file, snapshots, the moving average."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import intrada
from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.models import model_info
from intrada.models.model_info import ModelSpec
from intrada.pipeline import execution_log
from intrada.training import streams, trainer
from intrada.training.checkpoints import Checkpoints
from tests.support.small_training import (
    ITERATIONS,
    LOSSES,
    MODEL,
    RUNS,
    checkpoints,
    current,
    setup,
    snapshot_files,
    train,
)
from tests.support.small_training import folder as folder  # a fixture
from tests.support.tiny_project import change, tree, write_params
from tests.support.tiny_segmenter import TinySegmenter


def test_losses_csv_has_rows_of_mean_losses_and_poly_learning_rates() -> None:
    setup(max_iters=10, power=0.9, log_every=2)
    base, d_lr = tree()["train_inter"]["optimizer"]["lr"], 5.0e-4
    train()
    table = files.read_csv(LOSSES)
    kinds = ["seg", "adv", "d_target", "d_source"]
    names = [f"{kind}_{head}" for kind in kinds for head in ("main", "aux")]
    assert list(table.columns) == ["iteration", *names, "lr", "lr_discriminator"]
    assert table["iteration"].tolist() == [2, 4, 6, 8]
    # a row has the rate of its last iteration, which has the index iteration - 1
    factor = [(1 - (iteration - 1) / 10) ** 0.9 for iteration in (2, 4, 6, 8)]
    assert table["lr"].tolist() == pytest.approx([base * f for f in factor])
    assert table["lr_discriminator"].tolist() == pytest.approx([d_lr * f for f in factor])
    setup(max_iters=10, power=0.9, log_every=1)
    train()
    single = files.read_csv(LOSSES)[names]
    pairs = (single.iloc[0::2].reset_index(drop=True) + single.iloc[1::2].reset_index(drop=True)) / 2
    pd.testing.assert_frame_equal(table[names], pairs)


def test_the_optimizers_use_the_learning_rates_of_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    setup(optimizer={**tree()["train_inter"]["optimizer"], "lr": 1, "heads_lr_multiplier": 10})
    used: list[dict[str, float]] = []

    def training_step(method: Any, networks: Any, source: Any, target: Any, weights: Any) -> dict[str, Any]:
        return {"seg_main": torch.zeros(())}

    original = trainer.Trainer.step

    def step(trainer: trainer.Trainer, *batches: Any) -> Any:
        record = original(trainer, *batches)
        rates = {f"group{number}": g["lr"] for number, g in enumerate(trainer.optimizer.param_groups)}
        assert trainer.discriminator_optimizer is not None
        used.append({**rates, "lr_discriminator": trainer.discriminator_optimizer.param_groups[0]["lr"]})
        return record

    monkeypatch.setattr(trainer, "training_step", training_step)
    monkeypatch.setattr(trainer.Trainer, "step", step)
    train()
    poly = [(1 - iteration / ITERATIONS) ** 0.9 for iteration in range(ITERATIONS)]
    assert [rates["group0"] for rates in used] == pytest.approx(poly)
    assert [rates["group1"] for rates in used] == pytest.approx([10 * value for value in poly])
    assert [rates["lr_discriminator"] for rates in used] == pytest.approx([5e-4 * value for value in poly])


def test_fewer_iterations_than_log_every_give_a_table_without_rows() -> None:
    setup(log_every=100)
    train()
    assert LOSSES.read_text() == "iteration\n"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_lists_the_images_and_keeps_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    setup(checkpoint_every=2)
    original = trainer.training_step
    batches: list[tuple[Any, Any]] = []

    def training_step(method: Any, networks: Any, source: Any, target: Any, weights: Any) -> Any:
        batches.append((source, target))
        record = original(method, networks, source, target, weights)
        return record | ({"adv_aux": torch.tensor(bad)} if len(batches) == 5 else {})

    monkeypatch.setattr(trainer, "training_step", training_step)
    with pytest.raises(UserError) as caught:
        train()
    assert caught.value.where == "iteration 5"
    assert f"'adv_aux': {bad}" in caught.value.found
    assert caught.value.found.endswith(f"images {', '.join(batches[4][0].ids + batches[4][1].ids)}")
    assert checkpoints() == [2, 4] and not MODEL.exists() and not LOSSES.exists()
    [state] = [Checkpoints(path, 2, 10, 2).load() for path in RUNS.iterdir()]
    assert state is not None and state["iteration"] == 4
    assert json.loads(execution_log.LOG.read_text())["outcome"] == "failed"


def test_the_loader_threads_change_neither_the_run_nor_a_byte_of_its_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[int] = []
    original = streams.Threads
    monkeypatch.setattr(streams, "Threads", lambda pool, count: used.append(count) or original(pool, count))
    expected, runs = train(), [*RUNS.iterdir()]
    shutil.rmtree(RUNS)
    params = current()
    params["compute"]["loader_threads"] = 3
    write_params(params)
    assert train() == expected
    assert [*RUNS.iterdir()] == runs and used == [1, 3]


def test_copies_on_the_disk_of_the_node_change_neither_the_run_nor_a_byte_of_its_results(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: set[str] = set()
    original = files.read_image
    monkeypatch.setattr(files, "read_image", lambda path: read.add(str(path)) or original(path))
    expected, runs, before = train(), [*RUNS.iterdir()], {*read}
    shutil.rmtree(RUNS)
    read.clear()
    params = current()
    params["compute"]["scratch"] = str(tmp_path / "disk")
    write_params(params)
    assert train() == expected and [*RUNS.iterdir()] == runs
    assert len(read) == len(before) and all(path.startswith(str(tmp_path / "disk")) for path in read)
    assert not [*tmp_path.glob("disk/*/copies/*")]


@pytest.mark.parametrize("device, threads", [("cpu", 1), ("cuda", 4)])
def test_only_a_training_on_a_gpu_has_several_loader_threads_by_default(
    monkeypatch: pytest.MonkeyPatch, device: str, threads: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert streams.default_threads(torch.device(device)) == threads


def test_the_model_file_has_metadata() -> None:
    train()
    info = model_info.read(MODEL)
    assert info and info.spec == ModelSpec("tiny", {"dropout": 0.3}, class_set(["sky", "road", "car"]))
    assert (info.intrada, info.method, info.iteration) == (intrada.__version__, "advent", 8)
    assert (info.size, info.normalisation) == ((64, 32), TinySegmenter.normalisation)


def test_a_snapshot_equals_the_model_of_a_run_with_that_many_iterations() -> None:
    setup(max_iters=20, snapshot_every=3)
    train()
    assert list(snapshot_files()) == ["snapshot_00000003.safetensors", "snapshot_00000006.safetensors"]
    third = snapshot_files()["snapshot_00000003.safetensors"]
    setup(max_iters=20, iterations=3)
    assert train()[0] == third
    assert snapshot_files() == {}  # the last model is not a snapshot


def test_with_ema_the_saved_model_is_the_moving_average_of_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a decay near 1 it is the mean over the iterations: four for the model, two for the snapshot."""
    after_step: list[dict[str, Tensor]] = []
    step = trainer.Trainer.step

    def recorded(trainer: trainer.Trainer, *batches: Any) -> dict[str, Tensor]:
        losses = step(trainer, *batches)
        state = trainer.networks.segmenter.state_dict()
        after_step.append({name: value.clone() for name, value in state.items()})
        return losses

    monkeypatch.setattr(trainer.Trainer, "step", recorded)
    setup(iterations=4, max_iters=4, snapshot_every=2, ema=0.99)
    train()
    snapshot = Path("snapshots/snapshot_00000002.safetensors")
    for path, states in ((MODEL, after_step), (snapshot, after_step[:2])):
        saved = load_file(path)
        mean = {
            name: sum(state[name] for state in states) / len(states)
            for name in saved
            if "batches" not in name
        }
        torch.testing.assert_close({name: saved[name] for name in mean}, mean)


def test_training_lowers_the_loss() -> None:
    setup(method="source_only", augment={"flip": False, "jitter": 0}, log_every=10, batch_size=5)
    flat = current()
    change(flat, model__options={}, train_inter__iterations=60, train_inter__max_iters=60)
    change(flat, train_inter__optimizer__lr=0.02)
    write_params(flat)
    for number in range(5):  # the brightness of a pixel determines its class
        label = np.repeat(np.arange(64, dtype=np.uint8)[None] // 22, 32, 0)
        files.write_label(Path(f"source{number}_label.png"), label, [])
        files.write_image(Path(f"source{number}.png"), np.repeat(100 * label[:, :, None], 3, 2))
    train()
    seg = files.read_csv(LOSSES)["seg_main"]
    assert seg.iloc[-1] < 0.5 * seg.iloc[0]
