"""Losses that are nan or infinite, found some iterations later."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from intrada.core.config.load import validate
from intrada.core.distributed.process_group import SINGLE_PROCESS
from intrada.core.errors import UserError
from intrada.data.train_batches import TrainBatch
from intrada.methods import METHODS
from intrada.training import cost_estimate
from intrada.training.metric_logger import MetricLogger
from intrada.training.nan_check import LossCheck
from tests.support.tiny_project import PARAMS, change, tree


def losses(seg: float, adv: float) -> dict[str, torch.Tensor]:
    return {"seg": torch.tensor(seg), "adv": torch.tensor(adv, dtype=torch.bfloat16)}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_look_names_the_first_bad_iteration_with_its_losses_and_images(bad: float) -> None:
    check = LossCheck(SINGLE_PROCESS)
    check.add(7, losses(0.5, 0.25), ["a", "b"])
    check.add(8, losses(1.5, bad), ["c", "d"])
    check.add(9, losses(bad, bad), ["e", "f"])
    with pytest.raises(UserError) as caught:
        check.look()
    assert caught.value.where == "iteration 8"
    assert caught.value.found == f"losses {{'seg': 1.5, 'adv': {bad}}} on the images c, d"


def test_losses_are_looked_at_once() -> None:
    check = LossCheck(SINGLE_PROCESS)
    check.look()
    check.add(1, {}, ["a"])  # a method without losses
    check.add(2, losses(1.0, 2.0), ["b"])
    check.look()
    check.add(3, losses(float("nan"), 2.0), ["c"])
    with pytest.raises(UserError, match="images c\n"):
        check.look()
    check.look()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "mean_teacher"])
def test_an_iteration_reads_nothing_back_from_its_device(method: str) -> None:
    """A tensor of the meta device has no value; to read one is an error, as `look` shows."""
    params = validate(PARAMS, change(tree(), train_inter__method=method))
    block = params.train_inter
    trainer = cost_estimate.build_trainer(params, block, cost_estimate.META)
    source, target = (cost_estimate.noise_batch(block.batch_size, (64, 32), cost_estimate.META) for _ in "ab")
    batch = TrainBatch(source, target if trainer.method.NEEDS_TARGET else None, None)
    check, logger = LossCheck(SINGLE_PROCESS), MetricLogger(Path("none"), 3, params.class_set)
    for iteration in (1, 2):
        found = trainer.step(batch)
        check.add(iteration, found, batch.ids())
        logger.add(iteration, found, trainer.rates())
    with pytest.raises((RuntimeError, NotImplementedError)):
        check.look()
