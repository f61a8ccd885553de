"""Activation checkpointing changes only the memory of a training."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.train_batches import TrainBatch
from intrada.methods import METHODS
from intrada.methods.backward import back_propagate
from intrada.methods.base import Group, Loss
from intrada.models import MODELS, activation_checkpointing, build_model
from intrada.models.fuse_bn import fuse_conv_bn
from intrada.training.cost_estimate import build_trainer, noise_batch
from intrada.training.trainer import Trainer
from tests.support import networks
from tests.support.tiny_project import PARAMS, SELF_TRAINING, change, tree

CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


def build(enabled: bool, name: str = "small", method: str = "advent", **changes: Any) -> Trainer:
    block: dict[str, Any] = {"train_inter__method": method, "compute__activation_checkpointing": enabled}
    if method == "mean_teacher":
        block["train_inter__self_training"] = SELF_TRAINING
    model = {"name": name, "options": networks.options(name)}
    params = validate(PARAMS, change(tree(), model=model, **block, **changes))
    torch.manual_seed(0)
    return build_trainer(params, params.train_inter, CPU)


def steps(count: int) -> list[TrainBatch]:
    torch.manual_seed(1)
    return [
        TrainBatch(noise_batch(2, (64, 32), CPU), noise_batch(2, (64, 32), CPU), None) for _ in range(count)
    ]


def state(trainer: Trainer) -> dict[str, Tensor]:
    networks = nn.ModuleDict(
        {"segmenter": trainer.networks.segmenter, "discriminators": trainer.networks.discriminators}
    )
    return dict(networks.state_dict())


def losses(trainer: Trainer, count: int = 2) -> list[dict[str, Tensor]]:
    return [trainer.step(step) for step in steps(count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_losses_weights_and_statistics_are_bit_identical(name: str, precision: str) -> None:
    """This includes running means and batch counters. One step with bf16, which is slow if emulated."""
    actual, expected = (build(enabled, name, compute__precision=precision) for enabled in (True, False))
    count = 1 if precision == "bf16" else 2
    torch.testing.assert_close(losses(actual, count), losses(expected, count), rtol=0, atol=0)
    torch.testing.assert_close(state(actual), state(expected), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_bit_identical_weights(method: str) -> None:
    actual, expected = build(True, method=method), build(False, method=method)
    torch.testing.assert_close(losses(actual), losses(expected), rtol=0, atol=0)
    torch.testing.assert_close(state(actual), state(expected), rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_each_block_is_recomputed_in_the_backward_pass_in_training_only(name: str) -> None:
    trainer = build(True, name, "source_only")
    blocks = trainer.networks.segmenter.recomputable()
    runs = dict.fromkeys(range(len(blocks)), 0)
    for number, block in enumerate(blocks):
        first = next(module for module in block.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_pre_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
    with torch.no_grad():
        trainer.networks.predict(noise_batch(1, (64, 32), CPU))
    assert set(runs.values()) == {1}
    trainer.step(steps(1)[0])
    assert set(runs.values()) == {3}
    trainer.networks.segmenter.eval()
    group = Group(
        {"mean": Loss(trainer.networks.predict(noise_batch(1, (64, 32), CPU))["main"].mean(), 1.0)},
        trainer.networks.segmenter,
    )
    back_propagate([group])
    assert set(runs.values()) == {4}


def test_a_graph_can_be_back_propagated_twice() -> None:
    """The adversarial losses need this."""

    def gradients(enabled: bool) -> list[Tensor]:
        network = build(enabled).networks
        mean = network.predict(steps(1)[0].source)["main"].square().mean()
        back_propagate([
            Group({"once": Loss(mean, 1.0)}, network.segmenter, shared=True),
            Group({"twice": Loss(3 * mean, 1.0)}, network.segmenter),
        ])  # fmt: skip
        return [p.grad for p in network.segmenter.parameters() if p.grad is not None] + list(
            network.segmenter.buffers()
        )

    torch.testing.assert_close(gradients(True), gradients(False), rtol=0, atol=0)


def test_a_recomputed_block_has_the_same_dropout() -> None:
    def gradients(enabled: bool) -> list[Tensor]:
        torch.manual_seed(0)
        network = build_model("small", 3, {}).train()
        for block in network.recomputable():
            block.register_module("second", nn.Sequential(block.get_submodule("second"), nn.Dropout(0.5)))
        if enabled:
            activation_checkpointing.install(network)
        network(torch.ones(1, 3, 32, 32))["main"].sum().backward()
        return [p.grad for p in network.parameters() if p.grad is not None]

    torch.testing.assert_close(gradients(True), gradients(False), rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_the_state_dict_and_inference_do_not_change(name: str) -> None:
    torch.manual_seed(0)
    network = networks.build(name)
    plain = copy.deepcopy(network)
    activation_checkpointing.install(network)
    assert list(network.state_dict()) == list(plain.state_dict())
    images = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        actual, expected = (fuse_conv_bn(model.eval()).main_logits(images) for model in (network, plain))
    assert torch.equal(actual, expected)


def test_the_moving_average_of_the_weights_is_bit_identical() -> None:
    actual, expected = (build(enabled, train_inter__ema=0.9) for enabled in (True, False))
    torch.testing.assert_close(losses(actual), losses(expected), rtol=0, atol=0)
    torch.testing.assert_close(actual.model.state_dict(), expected.model.state_dict(), rtol=0, atol=0)


def test_it_can_be_combined_with_gradient_accumulation() -> None:
    options = {"train_inter__gradient_accumulation_steps": 2}
    actual, expected = (build(enabled, **options) for enabled in (True, False))
    torch.testing.assert_close(losses(actual), losses(expected), rtol=0, atol=0)
    torch.testing.assert_close(state(actual), state(expected), rtol=0, atol=0)


def test_a_network_without_blocks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")
    with pytest.raises(UserError, match="TinySegmenter has no block to recompute"):
        build(True, "tiny")
