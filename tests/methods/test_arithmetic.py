"""Precision and memory layout change the rounding of an iteration and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from intrada.core.config.load import validate
from intrada.data.loader import Batch
from intrada.data.train_batches import Step
from intrada.training.cost_estimate import build_game
from intrada.training.trainer import Game
from tests.support.tiny_project import PARAMS, tree

SIZE = (32, 64)


def game(**compute: Any) -> Game:
    torch.set_num_threads(1)
    params = copy.deepcopy(tree())
    params["compute"] |= compute
    checked = validate(PARAMS, params)
    torch.manual_seed(0)
    return build_game(checked, checked.train_inter, torch.device("cpu"))


def batch(seed: int) -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (2, 3, *SIZE), generator=random, dtype=torch.uint8)
    return Batch(["a", "b"], image, torch.randint(0, 11, (2, *SIZE), generator=random))


def losses(one: Game, iterations: int = 3) -> list[dict[str, Tensor]]:
    return [one.step(Step(batch(2 * i), batch(2 * i + 1), None)) for i in range(iterations)]


def test_channels_last_trains_as_the_contiguous_layout_does() -> None:
    found, expected = game(channels_last=True), game(channels_last=False)
    torch.testing.assert_close(losses(found), losses(expected), rtol=1e-4, atol=1e-4)
    assert found.nets.segmenter.stem[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_gradients_lie_as_their_weights_do_which_torchs_fused_optimisers_presume() -> None:
    for channels_last in (True, False):
        one = game(channels_last=channels_last)
        losses(one)
        for net in (one.nets.segmenter, one.nets.discriminators):
            for weight in net.parameters():
                assert weight.grad is not None and weight.grad.stride() == weight.stride()


def test_bf16_keeps_losses_and_weights_in_float32() -> None:
    rounded, exact = game(precision="bf16"), game(precision="float32")
    found, expected = losses(rounded, 1), losses(exact, 1)
    assert not torch.equal(found[0]["seg_main"], expected[0]["seg_main"])
    assert {loss.dtype for loss in found[0].values()} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    nets = (rounded.nets.segmenter, rounded.nets.discriminators)
    assert {weight.dtype for net in nets for weight in net.parameters()} == {torch.float32}
