from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.tensorboard.writer import SummaryWriter

import intrada
from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.data.loader import Batch
from intrada.methods.base import AdversarialNetworks
from intrada.models import MODELS, model_info
from intrada.models.model_info import ModelSpec
from intrada.pipeline import code_hash, execution_log, stage_runner
from intrada.training import trainer
from intrada.training.checkpoints import Checkpoints
from tests.support.tiny_project import PARAMS, change, tree, write_params
from tests.support.tiny_segmenter import TinySegmenter, build

MODEL, LOSSES = Path("model.safetensors"), Path("losses.csv")
OPTIONS = {
    "source": Path("source.csv"),
    "sources": Path("sources.csv"),
    "target": Path("target.csv"),
    "init": Path("weights/random"),
    "model": MODEL,
    "snapshots": Path("snapshots"),
    "losses": LOSSES,
}
RUNS = Path("runs/train_inter")
ITERATIONS = 8


@pytest.fixture(autouse=True)
def folder(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five source and three target images, and params for eight iterations of a tiny network."""
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")
    # it hashes modules of the package alone, and this network is none
    monkeypatch.setattr(code_hash, "of_stage", lambda stage, *_: {stage: f"the code of {stage}"})
    index("source", 5)
    index("target", 3)
    tables.write(Path("sources.csv"), pd.DataFrame(columns=list(tables.SETS.columns)), tables.SETS)
    setup()
    return checkout


def index(domain: str, count: int) -> None:
    random, rows = np.random.default_rng(count), []
    for number in range(count):
        name, label = f"{domain}{number}", ""
        files.write_image(Path(f"{name}.png"), random.integers(0, 256, (32, 64, 3), np.uint8))
        if domain == "source":
            label = f"{name}_label.png"
            files.write_label(Path(label), random.integers(0, 3, (32, 64), np.uint8), [])
        rows.append((name, f"{name}.png", label, 64, 32))
    tables.write(Path(f"{domain}.csv"), pd.DataFrame(rows, columns=tables.INDEX_COLUMNS), tables.INDEX)


def setup(**changes: Any) -> None:
    params = change(
        tree(), classes=["sky", "road", "car"], model={"name": "tiny", "options": {"dropout": 0.3}}
    )
    params["train_inter"] |= {"iterations": ITERATIONS, "max_iters": ITERATIONS, **changes}
    write_params(params)


def current() -> dict[str, Any]:
    loaded: dict[str, Any] = plain_yaml.parse(PARAMS.read_text())
    return loaded


def train() -> tuple[bytes, str]:
    """Run the stage; return the bytes of the model and the text of losses.csv."""
    stage_runner.execute("train_inter", PARAMS, OPTIONS)
    return MODEL.read_bytes(), LOSSES.read_text()


def snapshot_files() -> dict[str, bytes]:
    """Return the snapshots of the stage's output: the bytes by file name."""
    return {path.name: path.read_bytes() for path in sorted(Path("snapshots").iterdir())}


def checkpoints() -> list[int]:
    return [int(path.stem.removeprefix("checkpoint_")) for path in sorted(RUNS.glob("*/checkpoint_*.pt"))]


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


def test_target_batches_are_read_only_for_methods_that_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[str] = []
    original: Callable[..., Iterator[Any]] = trainer.training_stream

    def stream(index: pd.DataFrame, seed: int, name: str, *rest: Any) -> Iterator[Any]:
        streams.append(name)
        return original(index, seed, name, *rest)

    monkeypatch.setattr(trainer, "training_stream", stream)
    for method, names in (("source_only", ["labelled"]), ("bn_only", ["labelled", "target"])):
        streams.clear()
        setup(method=method)
        train()
        assert streams == names


def test_predict_first_does_not_change_the_network_or_the_random_state() -> None:
    segmenter = build(3, dropout=0.5).train()
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    images = torch.randint(256, (2, 3, 32, 64), dtype=torch.uint8)
    batch = Batch(["a", "b"], images, torch.zeros(2, 32, 64, dtype=torch.int64))
    random = torch.get_rng_state()
    image, label, entropy = trainer.predict_first(AdversarialNetworks(segmenter, nn.ModuleDict()), batch)
    torch.testing.assert_close(dict(segmenter.state_dict()), before, rtol=0, atol=0)
    assert segmenter.training and torch.equal(torch.get_rng_state(), random)
    assert torch.equal(image, images[0])
    assert label.shape == entropy.shape == (32, 64) and not entropy.requires_grad
