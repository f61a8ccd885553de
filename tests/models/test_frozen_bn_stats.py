from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from intrada.core import files
from intrada.core.config.load import validate
from intrada.core.distributed.launcher import SINGLE_RANK
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.data.train_batches import TrainData
from intrada.methods import advent, backward
from intrada.models.frozen_bn_stats import FrozenBNStats
from intrada.training.streams import train_batches
from tests.methods.test_methods import SOURCES, TARGETS, gradients, networks, statistics
from tests.support.tiny_project import change, tree

WEIGHTS = validate(Path("params.yaml"), tree()).train_inter.weights


def trained(update_bn_stats: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the running statistics and gradients of the segmenter after one iteration of AdvEnt."""
    nets = networks()
    backward.training_step(advent, nets, SOURCES._replace(update_bn_stats=update_bn_stats), TARGETS, WEIGHTS)
    return statistics(nets), gradients(nets.segmenter)


def test_with_frozen_source_statistics_only_the_target_updates_them_and_gradients_are_equal() -> None:
    target_only = networks()
    with torch.no_grad():
        target_only.predict(TARGETS)
    (both_stats, both_gradients), (target_stats, target_gradients) = trained(True), trained(False)
    assert torch.equal(target_stats, statistics(target_only))
    assert not torch.allclose(target_stats, both_stats)
    assert all(torch.equal(target_gradients[name], both_gradients[name]) for name in both_gradients)


def test_the_momentum_is_restored_after_an_error_in_the_block() -> None:
    norm = torch.nn.BatchNorm2d(1, momentum=0.3)
    with pytest.raises(ZeroDivisionError), FrozenBNStats(torch.nn.Sequential(norm)):
        norm(torch.ones(2, 1, 2, 2))
        raise ZeroDivisionError
    assert norm.momentum == 0.3
    assert (norm.running_mean.item(), norm.num_batches_tracked.item()) == (0, 0)


@pytest.mark.parametrize(
    ("bn_statistics", "source", "expected"),
    [
        ("all", "source", [True, True, True]),
        ("target", "source", [False, True, True]),
        ("target", "supervised", [True, True, False]),
    ],
)
def test_batches_of_the_source_domain_do_not_update_the_statistics(
    tmp_path: Path, bn_statistics: str, source: Any, expected: list[bool]
) -> None:
    files.write_image(tmp_path / "a.png", torch.zeros(8, 8, 3, dtype=torch.uint8).numpy())
    row = [("a", str(tmp_path / "a.png"), "", 8, 8)]
    index = pd.DataFrame(row, columns=tables.INDEX_COLUMNS)
    params = validate(Path("params.yaml"), change(tree(), train_inter__bn_statistics=bn_statistics))
    data = TrainData(index, index, index, source)
    step = next(train_batches(params.train_inter, data, 1, 0, SINGLE_RANK))
    assert [batch.update_bn_stats for batch in step if batch] == expected
    assert [batch.update_bn_stats for batch in step.to(torch.device("cpu")) if batch] == expected


@pytest.mark.parametrize("stage", ["train_source", "train_inter"])
def test_bn_statistics_target_is_refused_for_a_method_without_target(stage: str) -> None:
    params = change(tree(), **{f"{stage}__method": "source_only", f"{stage}__bn_statistics": "target"})
    with pytest.raises(UserError, match=f"{stage}.bn_statistics is target"):
        validate(Path("params.yaml"), params)
