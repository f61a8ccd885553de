"""Data and params with which training must stop, or must continue."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from intrada.core import files
from intrada.training import trainer
from tests.support.bad_inputs_tree import Stage, mask, photo, use

LOSSES = Path("results/train_source/losses.csv")


def checkpoints(stage: str = "train_source") -> list[Path]:
    return sorted(Path(f"runs/{stage}").glob("*/checkpoint_*.pt"))


def is_finite(path: Path) -> bool:
    state = torch.load(path, weights_only=True)
    return all(bool(torch.isfinite(value).all()) for value in state["segmenter"].values())


@pytest.mark.parametrize("job", ["train_source", "train_inter"])
def test_batches_without_a_labelled_pixel_have_the_loss_0(stage: Stage, job: str) -> None:
    for path in Path("data/preprocess/source_labels").glob("*.png"):
        mask(path, values=(255,))
    stage.run(job)
    table = files.read_csv(Path(f"results/{job}/losses.csv"))
    assert table["seg_main"].tolist() == [0, 0] and table["seg_aux"].tolist() == [0, 0]
    assert table.map(math.isfinite).all(axis=None)


def test_a_batch_with_one_labelled_pixel_has_a_loss(stage: Stage) -> None:
    for path in Path("data/preprocess/source_labels").glob("*.png"):
        mask(path, values=(2,) + (255,) * (64 * 32 - 1))
    stage.run("train_source")
    assert (files.read_csv(LOSSES)["seg_main"] > 0).all()


def test_source_images_without_any_label_are_refused(stage: Stage) -> None:
    index = Path("data/preprocess/source/index.csv")
    lines = [line.split(",") for line in index.read_text().splitlines()]
    index.write_text(
        "".join(
            ",".join([*cells[:2], cells[2] * (n == 0), *cells[3:]]) + "\n" for n, cells in enumerate(lines)
        )
    )
    stage.refuses("train_source", f"{index}: none of its {len(lines) - 1} images has a label")


@pytest.mark.parametrize("method, job", [("source_only", "train_source"), ("advent", "train_inter")])
def test_training_with_a_huge_learning_rate_stops_and_names_the_iteration_and_images(
    stage: Stage, method: str, job: str
) -> None:
    iterations = {f"{job}__{key}": 30 for key in ("iterations", "max_iters")}
    optimizer = {
        "name": "sgd",
        "lr": 1e15,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "heads_lr_multiplier": 1.0,
        "multiplicity": "once",
    }
    use(
        **iterations,
        **{f"{job}__checkpoint_every": 1, f"{job}__optimizer": optimizer, f"{job}__method": method},
    )
    message = stage.refuses(
        job, "iteration ", " on the images ", "finite losses and weights", "lower optimizer.lr"
    )
    images = message.split(" on the images ")[1].splitlines()[0].split(", ")
    assert images and set(images) <= set("abcpqrs")
    assert all(map(is_finite, checkpoints(job)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("iteration", [1, 3, 4])
def test_weights_that_become_nan_after_finite_losses_are_not_saved(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, value: float, iteration: int
) -> None:
    """The loss of an iteration belongs to the weights before its step, so only the next loss would be nan."""
    original = trainer.Trainer.step

    def step(trainer: trainer.Trainer, *batches: Any) -> Any:
        record = original(trainer, *batches)
        if trainer.iteration == iteration:
            with torch.no_grad():
                next(trainer.networks.segmenter.parameters())[0, 0, 0, 0] = value
        return record

    use(train_source__iterations=4, train_source__max_iters=4, train_source__checkpoint_every=1)
    monkeypatch.setattr(trainer.Trainer, "step", step)
    stage.refuses(
        "train_source", f"iteration {iteration}: 1 tensors with nan or infinite weights, first segmenter.stem.0.weight",
        "the last checkpoint is kept",
    )  # fmt: skip
    saved = [int(path.stem.removeprefix("checkpoint_")) for path in checkpoints()]
    assert saved == list(range(1, iteration))[-2:] and all(map(is_finite, checkpoints()))
    monkeypatch.setattr(trainer.Trainer, "step", original)
    stage.run("train_source")  # resumes from there and succeeds


def test_weights_that_become_nan_in_the_last_iteration_are_not_saved(stage: Stage) -> None:
    optimizer = {
        "name": "sgd",
        "lr": 1e18,
        "momentum": 0.9,
        "weight_decay": 0,
        "heads_lr_multiplier": 1e18,
        "multiplicity": "once",
    }
    use(
        train_source__iterations=1,
        train_source__max_iters=1,
        train_source__optimizer=optimizer,
        train_source__weights__seg__main=1e9,
    )
    stage.refuses("train_source", "iteration 1: ", "nan or infinite weights", "lower optimizer.lr")
    assert checkpoints() == []


def test_training_refuses_images_of_several_sizes_in_a_batch(stage: Stage) -> None:
    photo(Path("data/preprocess/source/images/b.png"), (32, 32))
    mask(Path("data/preprocess/source_labels/b.png"), (32, 32))
    use(train_source__batch_size=3)
    stage.refuses("train_source", "images ", "in one batch", "one size for all images", "run preprocess")


def test_training_refuses_images_too_small_for_the_discriminator(stage: Stage) -> None:
    use(preprocess__source__size=[32, 16], preprocess__target__size=[32, 16])
    for job in ("check", "preprocess@source", "preprocess@target", "train_source"):
        stage.run(job)
    stage.refuses(
        "train_inter", "index of the source images: a has 32x16 pixels", "at least 32x32", "raise `size`"
    )


def test_a_missing_gpu_is_refused(stage: Stage) -> None:
    if torch.cuda.is_available():
        pytest.skip("CUDA device found; to run: with CUDA_VISIBLE_DEVICES=")
    use(compute__device="cuda")
    stage.refuses("train_source", "compute.device: cuda, but torch sees no CUDA device", "auto, cpu")
