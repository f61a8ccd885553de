"""Trainings with a teacher: resume, micro-batches, which network is saved, and the curricula of step 3."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from intrada.core import files
from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.training import trainer
from tests.support.small_training import LOSSES, MODEL, checkpoints, current, setup, snapshot_files, train
from tests.support.small_training import folder as folder  # a fixture
from tests.support.tiny_project import PARAMS, SELF_TRAINING, change, tree, write_params
from tests.training.test_resume import interrupted

SETTINGS = SELF_TRAINING | {"feature_distance": {"weight": 0.1, "classes": ["car"], "min_share": 0.3}}


def teach(**changes: Any) -> None:
    """Write the params of a training with a teacher; changes: of self_training."""
    setup(
        method="mean_teacher",
        self_training=SETTINGS | changes,
        checkpoint_every=3,
        snapshot_every=2,
        log_every=2,
    )


@pytest.mark.parametrize("saved", ["student", "teacher"])
def test_a_resumed_run_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch, saved: str) -> None:
    teach(saved=saved)
    expected, snapshots = train(), snapshot_files()
    shutil.rmtree("runs")
    interrupted(monkeypatch, 8, KeyboardInterrupt())
    assert checkpoints() == [3, 6]
    assert train() == expected
    assert snapshot_files() == snapshots


def test_a_teacher_trains_in_bf16() -> None:
    teach()
    write_params(change(current(), compute__precision="bf16"))
    train()
    assert files.read_csv(LOSSES).notna().all(axis=None)


def test_losses_csv_has_the_losses_of_the_teacher_and_the_share_of_confident_pixels() -> None:
    teach()
    train()
    table = files.read_csv(LOSSES)
    heads = [f"{kind}_{head}" for kind in ("seg", "self", "adv", "masked") for head in ("main", "aux")]
    assert {*heads, "features", "teacher_confident", "lr_discriminator"} <= {*table.columns}
    assert table["teacher_confident"].between(0, 1).all() and table.notna().all(axis=None)


def test_the_saved_network_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[trainer.Trainer] = []
    step = trainer.Trainer.step

    def recorded(self: trainer.Trainer, *batches: Any) -> Any:
        kept.append(self)
        return step(self, *batches)

    monkeypatch.setattr(trainer.Trainer, "step", recorded)
    for saved in ("student", "teacher"):
        teach(saved=saved)
        train()
        assert kept[-1].teacher
        network = kept[-1].networks.segmenter if saved == "student" else kept[-1].teacher.network
        model = load_file(MODEL)
        assert all(model[name].equal(value) for name, value in network.state_dict().items())
    assert not all(
        value.equal(model[name]) for name, value in kept[-1].networks.segmenter.state_dict().items()
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train_inter__method": "mean_teacher"}, "needs the block self_training|needs self_training"),
        ({"train_inter__self_training": SELF_TRAINING}, "self_training is not used by method advent"),
        (
            {
                "train_inter__method": "mean_teacher",
                "train_inter__self_training": SELF_TRAINING,
                "train_inter__ema": 0.9,
            },
            "ema is not used with a teacher|ema must be 0",
        ),
        (
            {
                "train_inter__method": "mean_teacher",
                "train_inter__self_training": SELF_TRAINING | {"curriculum": "easy_first"},
            },
            "only step 3",
        ),
        (
            {"train_source__method": "mean_teacher", "train_source__self_training": SELF_TRAINING},
            "this stage reads no target image",
        ),
        (
            {
                "train_inter__method": "mean_teacher",
                "train_inter__self_training": SELF_TRAINING
                | {"feature_distance": {"weight": 1, "classes": ["cat"], "min_share": 0.5}},
            },
            "unknown class 'cat'",
        ),
        (
            {
                "train_inter__method": "mean_teacher",
                "train_inter__self_training": SELF_TRAINING | {"margins": {"top": 0.5, "bottom": 0.5}},
            },
            "no pixel is left",
        ),
    ],
)
def test_settings_that_would_not_be_used_or_do_not_fit_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        validate(PARAMS, change(tree(), **changes))


def test_the_model_says_that_a_teacher_trained_it(folder: Path) -> None:
    from intrada.models import model_info

    teach()
    train()
    info = model_info.read(MODEL)
    assert info and info.method == "mean_teacher"
