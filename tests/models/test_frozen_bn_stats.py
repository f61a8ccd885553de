from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from intrada.core import files
from intrada.core.config.load import validate
from intrada.core.distributed.process_group import ALONE
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.data.train_batches import Domains
from intrada.methods import advent, backward
from intrada.models.frozen_bn_stats import Kept
from intrada.training import trainer
from tests.methods.test_methods import SOURCES, TARGETS, gradients, nets, statistics
from tests.support.tiny_project import change, tree

WEIGHTS = validate(Path("params.yaml"), tree()).train_inter.weights


def played(followed: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Running statistics and gradients of the segmenter after one iteration of AdvEnt."""
    found = nets()
    backward.play(advent, found, SOURCES._replace(followed=followed), TARGETS, WEIGHTS)
    return statistics(found), gradients(found.segmenter)


def test_statistics_follow_the_target_alone_and_gradients_are_those_of_before() -> None:
    alone = nets()
    with torch.no_grad():
        alone.predict(TARGETS)
    (all_of_them, before), (target, after) = played(True), played(False)
    assert torch.equal(target, statistics(alone))
    assert not torch.allclose(target, all_of_them)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_an_error_within_the_block_gives_the_momentum_back() -> None:
    norm = torch.nn.BatchNorm2d(1, momentum=0.3)
    with pytest.raises(ZeroDivisionError), Kept(torch.nn.Sequential(norm)):
        norm(torch.ones(2, 1, 2, 2))
        raise ZeroDivisionError
    assert norm.momentum == 0.3
    assert (norm.running_mean.item(), norm.num_batches_tracked.item()) == (0, 0)


@pytest.mark.parametrize(
    ("way", "source", "due"),
    [
        ("all", "labelled", [True, True, True]),
        ("target", "labelled", [False, True, True]),
        ("target", "extra", [True, True, False]),
    ],
)
def test_images_of_the_source_are_told_by_their_part_in_the_game(
    tmp_path: Path, way: str, source: Any, due: list[bool]
) -> None:
    files.write_image(tmp_path / "a.png", torch.zeros(8, 8, 3, dtype=torch.uint8).numpy())
    row = [("a", str(tmp_path / "a.png"), "", 8, 8)]
    index = pd.DataFrame(row, columns=tables.INDEX_COLUMNS)
    params = validate(Path("params.yaml"), change(tree(), train_inter__bn_statistics=way))
    game: Any = SimpleNamespace(block=params.train_inter, method=advent, done=0, world=ALONE)
    step = next(trainer._steps(game, Domains(index, index, index, source), seed=1))
    assert [batch.followed for batch in step if batch] == due
    assert [batch.followed for batch in step.to(torch.device("cpu")) if batch] == due


@pytest.mark.parametrize("stage", ["train_source", "train_inter"])
def test_a_training_on_the_source_alone_has_no_target_to_follow(stage: str) -> None:
    params = change(tree(), **{f"{stage}__method": "source_only", f"{stage}__bn_statistics": "target"})
    with pytest.raises(UserError, match=f"{stage}.bn_statistics is target"):
        validate(Path("params.yaml"), params)
