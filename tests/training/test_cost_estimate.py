"""The costs of a training, counted before it starts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from intrada.__main__ import main
from intrada.core.config import plain_yaml
from intrada.core.config.load import validate
from intrada.core.config.schema import LossWeights, Params
from intrada.data.loader import Batch
from intrada.data.train_batches import TrainBatch
from intrada.methods import METHODS
from intrada.methods.base import AdversarialNetworks, Group, segmentation_losses
from intrada.models import MODELS
from intrada.training import cost_estimate
from tests.support.tiny_project import PARAMS, change, tree

CPU = torch.device("cpu")
FLOAT = 4  # bytes


def chosen(**changes: Any) -> Params:
    """The tiny project's params, with dotted keys changed as tiny_project.change has it."""
    return validate(PARAMS, change(tree(), **changes))


def inter(**changes: Any) -> cost_estimate.Cost:
    return cost_estimate.training(chosen(**changes), "train_inter")


def counted_on(device: torch.device, p: Params) -> tuple[int, int, int]:
    """One iteration of train_inter: (weights, kept, flop)."""
    trainer = cost_estimate.build_trainer(p, p.train_inter, device)
    size, images = (64, 32), p.train_inter.batch_size
    source, target = (cost_estimate.any_batch(images, size, device) for _ in range(2))
    return cost_estimate.count(
        trainer, TrainBatch(source, target if trainer.method.NEEDS_TARGET else None, None)
    )


def numbers(net: nn.Module) -> int:
    return sum(tensor.numel() for tensor in net.parameters())


@pytest.fixture
def toy_method(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A method of one's own: it looks at the source twice, both graphs alive at a time."""

    def losses(
        networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
    ) -> Iterator[Group]:
        groups = [
            segmentation_losses(networks, networks.predict(source), source.label, weights.seg)
            for _ in range(2)
        ]
        yield from groups

    module = ModuleType("toy_method")
    vars(module).update(losses=losses, NEEDS_TARGET=False, ADVERSARIAL=False)
    monkeypatch.setitem(sys.modules, "toy_method", module)
    monkeypatch.setitem(METHODS, "twice", "toy_method")
    yield "twice"


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [({"name": "sgd", "momentum": 0.9}, 1), ({"name": "sgd", "momentum": 0.0}, 0), ({"name": "adamw"}, 2)],
)
def test_weights_are_those_of_the_real_networks_with_gradients_and_optimiser_state(
    optimizer: dict[str, Any], copies: int
) -> None:
    p = chosen(train_inter__optimizer=tree()["train_inter"]["optimizer"] | optimizer)
    networks = cost_estimate.build_trainer(p, p.train_inter, CPU).networks
    segmenter, discriminators = numbers(networks.segmenter), numbers(networks.discriminators)
    assert segmenter > 100_000 and discriminators > 0
    buffers = sum(buffer.nbytes for buffer in networks.segmenter.buffers())
    steps = sum(1 for _ in networks.discriminators.parameters()) * FLOAT  # Adam counts its steps in a float
    steps += sum(1 for _ in networks.segmenter.parameters()) * FLOAT if optimizer["name"] == "adamw" else 0
    expected = FLOAT * (segmenter * (2 + copies) + discriminators * 4) + buffers + steps
    assert cost_estimate.training(p, "train_inter").weights == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["source_only", "advent"])
def test_without_data_the_count_is_that_of_a_real_iteration(name: str, method: str) -> None:
    options = {"backbone": "resnet18"} if name == "deeplabv2" else {}
    p = chosen(model={"name": name, "options": options}, train_inter__method=method)
    assert counted_on(cost_estimate.META, p) == counted_on(CPU, p)


def test_the_flops_are_those_of_torchs_counter_where_no_convolution_is_grouped() -> None:
    p = chosen()
    trainer = cost_estimate.build_trainer(p, p.train_inter, CPU)
    source, target = (cost_estimate.any_batch(p.train_inter.batch_size, (64, 32), CPU) for _ in range(2))
    with FlopCounterMode(display=False) as counter:
        trainer.step(TrainBatch(source, target, None))
    assert inter().flop == counter.get_total_flops()


def test_the_flops_of_a_grouped_convolution_are_those_of_its_groups() -> None:
    images = torch.zeros(2, 6, 8, 8, requires_grad=True)
    forward = (
        2 * (2 * 8 * 8) * 6 * (3 * 3)
    )  # two a multiplication: pixels, output channels, 1 x 3 x 3 weights
    with cost_estimate.Operations() as operations:
        nn.Conv2d(6, 6, 3, padding=1, groups=6)(images).sum().backward()
    assert operations.flop == 3 * forward  # the gradients of images and weights cost as much as the output


def test_a_saved_storage_counts_once_and_only_while_a_graph_is_alive() -> None:
    weight, values = torch.ones(10, requires_grad=True), torch.ones(10, requires_grad=True)
    graphs = cost_estimate.Graphs([weight])
    with torch.autograd.graph.saved_tensors_hooks(graphs.pack, lambda kept: kept.tensor):
        for _ in range(3):
            (weight * values * values.view(10)).sum().backward()
    assert graphs.peak == 2 * 10 * FLOAT  # values, and the product before the last


@pytest.mark.parametrize("method", METHODS)
def test_twice_the_images_are_twice_the_flops_and_the_activations(method: str) -> None:
    one, two = (inter(train_inter__method=method, train_inter__batch_size=images) for images in (1, 2))
    assert two.flop == 2 * one.flop
    assert two.kept == pytest.approx(2 * one.kept, rel=0.02)  # batch normalisation's statistics stay one
    assert two.weights == one.weights


def test_advent_costs_more_than_supervision_and_less_than_four_times_as_much() -> None:
    alone, trainer = inter(train_inter__method="source_only"), inter()
    assert alone.flop < trainer.flop < 4 * alone.flop
    assert alone.weights < trainer.weights
    assert alone.kept <= trainer.kept


def test_a_method_of_ones_own_is_counted_by_its_own_code(toy_method: str) -> None:
    once, twice = inter(train_inter__method="source_only"), inter(train_inter__method=toy_method)
    assert twice.flop == 2 * once.flop
    assert twice.kept > 1.9 * once.kept  # of the two graphs, the label alone is one


def test_each_stage_has_the_images_it_will_see() -> None:
    wide = tree()["preprocess"]["source"] | {"size": [128, 32]}
    source, inter, intra = cost_estimate.trainings(chosen(preprocess__source=wide))
    assert source.sizes == ((128, 32),)
    assert inter.sizes == ((128, 32), (64, 32))
    assert intra.sizes == ((64, 32), (64, 32))
    assert intra.flop < inter.flop


def test_hours_are_all_the_operations_at_the_throughput() -> None:
    cost = cost_estimate.Cost("train_inter", "advent", 1, ((64, 32),), 3600, 2**29, 2**29, 10**9)
    assert cost.hours(1e9) == 1.0
    assert cost.gib == 1.0


def test_the_throughput_is_that_of_a_processor() -> None:
    assert 1e7 < cost_estimate.measured_throughput(chosen(), CPU) < 1e15


def test_the_command_prints_a_row_for_each_training_and_what_is_not_counted(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate"]) == 0
    head, *rows, rate, _ = capsys.readouterr().out.splitlines()
    assert head.split() == ["stage", "method", "images", "GiB", "TFLOP", "iterations", "hours"]
    assert [row.split()[:2] for row in rows] == [
        ["train_source", "source_only"], ["train_inter", "advent"], ["train_intra", "advent"],
    ]  # fmt: skip
    assert "2 of 64x32 + 2 of 64x32" in rows[1]
    assert "GFLOP/s (cpu, threads: 1)" in rate
    assert not list(checkout.rglob("runs")) and not list(checkout.rglob("logs"))


def test_the_command_looks_at_the_preset_that_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "presets").mkdir()
    mine = change(tree(), train_inter__method="minent", train_inter__init="data/no/such/weights.pth")
    (checkout / "presets/mine.yaml").write_text(plain_yaml.dump(mine))
    assert main(["estimate", "mine"]) == 0
    assert "train_inter   minent" in capsys.readouterr().out
    assert main(["estimate", "mien"]) == 1
    assert "did you mean mine?" in capsys.readouterr().err


def test_source_labels_kept_in_step_3_cost_a_pass_more() -> None:
    def cost(supervision: str) -> cost_estimate.Cost:
        return cost_estimate.training(chosen(train_intra__supervision=supervision), "train_intra")

    pseudo, source, both = (cost(name).flop for name in ("pseudo", "source", "both"))
    assert pseudo < both and source < both
    assert len(cost("both").sizes) == 3 and len(cost("pseudo").sizes) == 2


def test_a_training_in_bf16_is_counted_as_float32_since_the_meta_device_has_no_such_mode() -> None:
    exact, rounded = (chosen(compute__precision=precision) for precision in ("float32", "bf16"))
    assert cost_estimate.trainings(rounded) == cost_estimate.trainings(exact)


def test_a_batch_in_parts_keeps_what_a_batch_of_their_size_keeps_and_costs_as_much_as_the_whole() -> None:
    whole, parts, small = (
        inter(train_inter__batch_size=images, train_inter__gradient_accumulation_steps=count)
        for images, count in ((4, 1), (4, 2), (2, 1))
    )
    assert parts.kept == pytest.approx(small.kept, rel=0.02)
    assert (parts.flop, parts.weights) == (whole.flop, whole.weights)


@pytest.mark.parametrize("name", MODELS)
def test_activation_checkpointing_keeps_less_and_computes_the_blocks_again(name: str) -> None:
    options = {"backbone": "resnet18"} if name == "deeplabv2" else {}
    model, advent = {"name": name, "options": options}, {"train_inter__batch_size": 2}
    plain, again = (
        inter(model=model, compute__activation_checkpointing=asked, **advent) for asked in (False, True)
    )
    assert again.kept < 0.8 * plain.kept
    assert plain.flop < again.flop < 1.4 * plain.flop
    assert again.weights == plain.weights


def test_what_blocks_keep_while_they_are_computed_again_is_counted() -> None:
    """Two blocks of the same form: their inputs, and one of them whole."""
    block = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Sigmoid(), nn.Sigmoid())
    features = torch.ones(3, 8, requires_grad=True)
    found = cost_estimate._kept_by(block, features, list(block.parameters()))
    assert found == 2 * features.nbytes  # the two results of a sigmoid; the input is kept in any case
