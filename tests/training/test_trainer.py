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
from intrada.pipeline import code_hash, stage_runner
from intrada.training import trainer
from intrada.training.checkpoints import Checkpoints
from tests.support.tiny_project import PARAMS, change, tree, write_params
from tests.support.tiny_segmenter import TinySegmenter, build

MODEL, LOSSES = Path("model.safetensors"), Path("losses.csv")
OPTIONS = {
    "source": Path("source.csv"),
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
    monkeypatch.setattr(code_hash, "of_stage", lambda stage, values: f"the code of {stage}")
    index("source", 5)
    index("target", 3)
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
    """Run the stage: the bytes of the model, and losses.csv."""
    stage_runner.execute("train_inter", PARAMS, OPTIONS)
    return MODEL.read_bytes(), LOSSES.read_text()


def kept() -> dict[str, bytes]:
    """The snapshots of the stage's output."""
    return {path.name: path.read_bytes() for path in sorted(Path("snapshots").iterdir())}


def checkpoints() -> list[int]:
    return [int(path.stem.removeprefix("checkpoint_")) for path in sorted(RUNS.glob("*/checkpoint_*.pt"))]


def interrupted(monkeypatch: pytest.MonkeyPatch, iteration: int, error: BaseException) -> None:
    """Run the stage until the losses of `iteration` are asked for."""
    original, calls = trainer.training_step, iter(range(1, 1000))

    def training_step(*arguments: Any) -> Any:
        if next(calls) == iteration:
            raise error
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "training_step", training_step)
        with pytest.raises(type(error)):
            train()


# checkpoints every 4 fall on rows of losses.csv (every 2), those every 3 fall between them
@pytest.mark.parametrize(
    "method, every, stop, left",
    [
        ("advent", 4, 7, [4]),
        ("advent", 3, 6, [3]),
        ("advent", 3, 8, [3, 6]),
        ("advent", 5, 3, []),
        ("bn_only", 3, 5, [3]),
        ("source_only", 3, 5, [3]),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, method: str, every: int, stop: int, left: list[int]
) -> None:
    setup(method=method, checkpoint_every=every, snapshot_every=2)
    expected, snapshots = train(), kept()
    assert len(snapshots) == 3
    shutil.rmtree("runs")
    interrupted(monkeypatch, stop, KeyboardInterrupt())
    assert checkpoints() == left
    torch.manual_seed(99)  # a new process starts with another state
    steps: list[int] = []
    original = trainer.Trainer.step

    def step(self: trainer.Trainer, *batches: Any) -> Any:
        steps.append(self.iteration)
        return original(self, *batches)

    monkeypatch.setattr(trainer.Trainer, "step", step)
    assert train() == expected
    assert kept() == snapshots
    assert steps == list(range(max([0, *left]), ITERATIONS))  # nothing was done twice


def test_a_run_interrupted_twice_with_a_torn_checkpoint_goes_on_to_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup(checkpoint_every=2, ema=0.9)
    expected = train()
    shutil.rmtree("runs")
    interrupted(monkeypatch, 6, KeyboardInterrupt())
    assert checkpoints() == [2, 4]
    [newest] = RUNS.glob("*/*4.pt")
    newest.write_bytes(newest.read_bytes()[:999])
    interrupted(monkeypatch, 6, MemoryError())  # the counter starts anew: 2 + 5 iterations
    assert checkpoints() == [4, 6]
    assert train() == expected


def test_two_runs_of_one_seed_agree_and_another_seed_differs() -> None:
    first = train()
    shutil.rmtree("runs")
    assert train() == first
    write_params(change(current(), seed=2))
    assert train() != first


def test_a_run_of_other_params_starts_anew_and_leaves_the_old_checkpoints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train()
    before = list(RUNS.glob("*/checkpoint_*.pt"))
    setup(power=0.5)
    train()
    assert "holds checkpoints of other params, inputs or code: left alone" in capsys.readouterr().err
    assert len(list(RUNS.iterdir())) == 2 and all(path.exists() for path in before)


def test_losses_are_rows_of_means_with_poly_learning_rates() -> None:
    setup(max_iters=10, power=0.9, log_every=2)
    base, d_lr = tree()["train_inter"]["optimizer"]["lr"], 5.0e-4
    train()
    table = files.read_csv(LOSSES)
    kinds = ["seg", "adv", "d_target", "d_source"]
    names = [f"{kind}_{head}" for kind in kinds for head in ("main", "aux")]
    assert list(table.columns) == ["iteration", *names, "lr", "lr_discriminator"]
    assert table["iteration"].tolist() == [2, 4, 6, 8]
    # a row holds the rate of its last iteration, which is number iteration - 1 counted from 0
    factor = [(1 - (iteration - 1) / 10) ** 0.9 for iteration in (2, 4, 6, 8)]
    assert table["lr"].tolist() == pytest.approx([base * f for f in factor])
    assert table["lr_discriminator"].tolist() == pytest.approx([d_lr * f for f in factor])
    setup(max_iters=10, power=0.9, log_every=1)
    train()
    single = files.read_csv(LOSSES)[names]
    pairs = (single.iloc[0::2].reset_index(drop=True) + single.iloc[1::2].reset_index(drop=True)) / 2
    pd.testing.assert_frame_equal(table[names], pairs)


def test_the_optimisers_move_with_the_schedules_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    setup(optimizer={**tree()["train_inter"]["optimizer"], "lr": 1, "heads_lr_multiplier": 10})
    seen: list[dict[str, float]] = []

    def training_step(way: Any, networks: Any, source: Any, target: Any, weights: Any) -> dict[str, Any]:
        return {"seg_main": torch.zeros(())}

    original = trainer.Trainer.step

    def step(trainer: trainer.Trainer, *batches: Any) -> Any:
        record = original(trainer, *batches)
        rates = {f"group{number}": g["lr"] for number, g in enumerate(trainer.optimizer.param_groups)}
        assert trainer.discriminator_optimizer is not None
        seen.append({**rates, "lr_discriminator": trainer.discriminator_optimizer.param_groups[0]["lr"]})
        return record

    monkeypatch.setattr(trainer, "training_step", training_step)
    monkeypatch.setattr(trainer.Trainer, "step", step)
    train()
    poly = [(1 - iteration / ITERATIONS) ** 0.9 for iteration in range(ITERATIONS)]
    assert [rates["group0"] for rates in seen] == pytest.approx(poly)
    assert [rates["group1"] for rates in seen] == pytest.approx([10 * value for value in poly])
    assert [rates["lr_discriminator"] for rates in seen] == pytest.approx([5e-4 * value for value in poly])


def test_fewer_iterations_than_a_row_needs_give_a_table_without_rows() -> None:
    setup(log_every=100)
    train()
    assert LOSSES.read_text() == "iteration\n"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_the_images_named_and_the_checkpoint_kept(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    setup(checkpoint_every=2)
    original = trainer.training_step
    batches: list[tuple[Any, Any]] = []

    def training_step(way: Any, networks: Any, source: Any, target: Any, weights: Any) -> Any:
        batches.append((source, target))
        record = original(way, networks, source, target, weights)
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
    assert json.loads(stage_runner.LOG.read_text())["outcome"] == "failed"


def test_the_model_says_what_it_is() -> None:
    train()
    found = model_info.read(MODEL)
    assert found and found.spec == ModelSpec("tiny", {"dropout": 0.3}, class_set(["sky", "road", "car"]))
    assert (found.intrada, found.method, found.iteration) == (intrada.__version__, "advent", 8)
    assert (found.size, found.normalisation) == ((64, 32), TinySegmenter.normalisation)


def test_a_snapshot_is_the_model_of_a_run_that_stops_there() -> None:
    setup(max_iters=20, snapshot_every=3)
    train()
    assert list(kept()) == ["snapshot_00000003.safetensors", "snapshot_00000006.safetensors"]
    third = kept()["snapshot_00000003.safetensors"]
    setup(max_iters=20, iterations=3)
    assert train()[0] == third
    assert kept() == {}  # the last model is no snapshot


def test_the_saved_model_is_the_mean_of_weights_where_ema_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of four iterations with a decay near 1: their plain mean, in the snapshot that of the first two."""
    seen: list[dict[str, Tensor]] = []
    step = trainer.Trainer.step

    def watched(trainer: trainer.Trainer, *batches: Any) -> dict[str, Tensor]:
        losses = step(trainer, *batches)
        seen.append({name: value.clone() for name, value in trainer.networks.segmenter.state_dict().items()})
        return losses

    monkeypatch.setattr(trainer.Trainer, "step", watched)
    setup(iterations=4, max_iters=4, snapshot_every=2, ema=0.99)
    train()
    for path, states in ((MODEL, seen), (Path("snapshots/snapshot_00000002.safetensors"), seen[:2])):
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
    for number in range(5):  # what can be learnt: the brightness is the class
        label = np.repeat(np.arange(64, dtype=np.uint8)[None] // 22, 32, 0)
        files.write_label(Path(f"source{number}_label.png"), label, [])
        files.write_image(Path(f"source{number}.png"), np.repeat(100 * label[:, :, None], 3, 2))
    train()
    seg = files.read_csv(LOSSES)["seg_main"]
    assert seg.iloc[-1] < 0.5 * seg.iloc[0]


def test_curves_of_an_interrupted_run_are_purged_behind_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[int | None] = []
    original = SummaryWriter.__init__

    def init(self: Any, *arguments: Any, purge_step: int | None = None, **options: Any) -> None:
        started.append(purge_step)
        original(self, *arguments, purge_step=purge_step, **options)

    monkeypatch.setattr(SummaryWriter, "__init__", init)
    setup(checkpoint_every=3)
    interrupted(monkeypatch, 6, KeyboardInterrupt())
    train()
    assert started == [None, 4]
    assert list(RUNS.glob("*/tensorboard/events*"))


def test_target_batches_come_to_methods_that_ask_for_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original: Callable[..., Iterator[Any]] = trainer.training_stream

    def stream(index: pd.DataFrame, seed: int, name: str, *rest: Any) -> Iterator[Any]:
        asked.append(name)
        return original(index, seed, name, *rest)

    monkeypatch.setattr(trainer, "training_stream", stream)
    for method, names in (("source_only", ["labelled"]), ("bn_only", ["labelled", "target"])):
        asked.clear()
        setup(method=method)
        train()
        assert asked == names


def test_the_prediction_that_is_shown_leaves_the_network_as_it_was() -> None:
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
