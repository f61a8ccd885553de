"""Precision and memory layout change the rounding of an iteration and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from intrada.core.config.load import validate
from intrada.data.loader import Batch
from intrada.data.train_batches import TrainBatch
from intrada.training.cost_estimate import build_trainer
from intrada.training.trainer import Trainer
from tests.support.tiny_project import PARAMS, tree

SIZE = (32, 64)


def trainer(**compute: Any) -> Trainer:
    torch.set_num_threads(1)
    params = copy.deepcopy(tree())
    params["compute"] |= compute
    checked = validate(PARAMS, params)
    torch.manual_seed(0)
    return build_trainer(checked, checked.train_inter, torch.device("cpu"))


def batch(seed: int) -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (2, 3, *SIZE), generator=random, dtype=torch.uint8)
    return Batch(["a", "b"], image, torch.randint(0, 11, (2, *SIZE), generator=random))


def losses(one: Trainer, iterations: int = 3) -> list[dict[str, Tensor]]:
    return [one.step(TrainBatch(batch(2 * i), batch(2 * i + 1), None)) for i in range(iterations)]


def test_channels_last_trains_as_the_contiguous_layout_does() -> None:
    found, expected = trainer(channels_last=True), trainer(channels_last=False)
    torch.testing.assert_close(losses(found), losses(expected), rtol=1e-4, atol=1e-4)
    assert found.networks.segmenter.stem[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_gradients_lie_as_their_weights_do_which_torchs_fused_optimisers_presume() -> None:
    for channels_last in (True, False):
        one = trainer(channels_last=channels_last)
        losses(one)
        for net in (one.networks.segmenter, one.networks.discriminators):
            for weight in net.parameters():
                assert weight.grad is not None and weight.grad.stride() == weight.stride()


def test_bf16_keeps_losses_and_weights_in_float32() -> None:
    rounded, exact = trainer(precision="bf16"), trainer(precision="float32")
    found, expected = losses(rounded, 1), losses(exact, 1)
    assert not torch.equal(found[0]["seg_main"], expected[0]["seg_main"])
    assert {loss.dtype for loss in found[0].values()} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    networks = (rounded.networks.segmenter, rounded.networks.discriminators)
    assert {weight.dtype for net in networks for weight in net.parameters()} == {torch.float32}
