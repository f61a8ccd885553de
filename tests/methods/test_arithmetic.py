"""The precision and the memory layout change only the rounding of an iteration."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from intrada.core.config.load import validate
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch
from intrada.training.cost_estimate import build_trainer
from intrada.training.trainer import Trainer
from tests.support.tiny_project import PARAMS, tree

SIZE = (32, 64)


def build(**compute: Any) -> Trainer:
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


def losses(trainer: Trainer, iterations: int = 3) -> list[dict[str, Tensor]]:
    return [trainer.step(TrainBatch(batch(2 * i), batch(2 * i + 1), None)) for i in range(iterations)]


def test_channels_last_gives_the_losses_of_the_contiguous_layout() -> None:
    actual, expected = build(channels_last=True), build(channels_last=False)
    torch.testing.assert_close(losses(actual), losses(expected), rtol=1e-4, atol=1e-4)
    assert actual.networks.segmenter.stem[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_gradients_have_the_strides_of_their_weights() -> None:
    """The fused optimisers of torch require this."""
    for channels_last in (True, False):
        trainer = build(channels_last=channels_last)
        losses(trainer)
        for net in (trainer.networks.segmenter, trainer.networks.discriminators):
            for weight in net.parameters():
                assert weight.grad is not None and weight.grad.stride() == weight.stride()


def test_bf16_keeps_losses_and_weights_in_float32() -> None:
    rounded, exact = build(precision="bf16"), build(precision="float32")
    actual, expected = losses(rounded, 1), losses(exact, 1)
    assert not torch.equal(actual[0]["seg_main"], expected[0]["seg_main"])
    assert {loss.dtype for loss in actual[0].values()} == {torch.float32}
    torch.testing.assert_close(actual, expected, rtol=2e-2, atol=2e-2)
    networks = (rounded.networks.segmenter, rounded.networks.discriminators)
    assert {weight.dtype for net in networks for weight in net.parameters()} == {torch.float32}
