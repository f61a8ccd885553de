"""The estimated costs of the training stages."""

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
from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch
from intrada.methods import METHODS
from intrada.methods.base import AdversarialNetworks, Group, segmentation_losses
from intrada.models import MODELS
from intrada.training import cost_estimate
from tests.support import networks
from tests.support.tiny_project import PARAMS, SELF_TRAINING, change, tree

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
FLOAT = 4  # bytes


def params_with(**changes: Any) -> Params:
    """Return the params of the tiny project with some keys changed, see tiny_project.change."""
    return validate(PARAMS, change(tree(), **changes))


def inter(**changes: Any) -> cost_estimate.Cost:
    return cost_estimate.estimate_stage(params_with(**changes), "train_inter")


def counted_on(device: torch.device, p: Params) -> tuple[int, int, int]:
    """Return (weights, activations, flop) of one iteration of train_inter on `device`."""
    trainer = cost_estimate.build_trainer(p, p.train_inter, device)
    size, images = (64, 32), p.train_inter.batch_size
    source, target = (cost_estimate.noise_batch(images, size, device) for _ in range(2))
    return cost_estimate.count_iteration(
        trainer, TrainBatch(source, target if trainer.method.NEEDS_TARGET else None, None)
    )


def parameter_count(net: nn.Module) -> int:
    return sum(tensor.numel() for tensor in net.parameters())


@pytest.fixture
def toy_method(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Register a method "twice" that runs the source through the network twice and keeps both graphs."""

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
def test_weights_are_the_bytes_of_parameters_buffers_gradients_and_optimizer_state(
    optimizer: dict[str, Any], copies: int
) -> None:
    p = params_with(train_inter__optimizer=tree()["train_inter"]["optimizer"] | optimizer)
    networks = cost_estimate.build_trainer(p, p.train_inter, CPU).networks
    segmenter, discriminators = parameter_count(networks.segmenter), parameter_count(networks.discriminators)
    assert segmenter > 100_000 and discriminators > 0
    buffers = sum(buffer.nbytes for buffer in networks.segmenter.buffers())
    steps = sum(1 for _ in networks.discriminators.parameters()) * FLOAT  # Adam's step count is a float
    steps += sum(1 for _ in networks.segmenter.parameters()) * FLOAT if optimizer["name"] == "adamw" else 0
    expected = FLOAT * (segmenter * (2 + copies) + discriminators * 4) + buffers + steps
    assert cost_estimate.estimate_stage(p, "train_inter").weights == expected


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["source_only", "advent"])
def test_the_count_on_the_meta_device_equals_that_on_the_cpu(name: str, method: str) -> None:
    model = {"name": name, "options": networks.options(name)}
    p = params_with(model=model, train_inter__method=method)
    tolerance = 0.005 if name == "segformer" else 0  # a CPU has another kernel for attention
    assert counted_on(cost_estimate.META, p) == pytest.approx(counted_on(CPU, p), rel=tolerance, abs=0)


def test_without_grouped_convolutions_the_flops_equal_those_of_torchs_counter() -> None:
    p = params_with()
    trainer = cost_estimate.build_trainer(p, p.train_inter, CPU)
    source, target = (cost_estimate.noise_batch(p.train_inter.batch_size, (64, 32), CPU) for _ in range(2))
    with FlopCounterMode(display=False) as counter:
        trainer.step(TrainBatch(source, target, None))
    assert inter().flop == counter.get_total_flops()


def test_a_saved_storage_counts_once_and_only_while_its_graph_is_in_memory() -> None:
    weight, values = torch.ones(10, requires_grad=True), torch.ones(10, requires_grad=True)
    saved = cost_estimate.SavedTensorBytes([weight])
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda packed: packed.tensor):
        for _ in range(3):
            (weight * values * values.view(10)).sum().backward()
    assert saved.peak == 2 * 10 * FLOAT  # `values` and the first product


@pytest.mark.parametrize("method", METHODS)
def test_twice_the_images_give_twice_the_flops_and_activations(method: str) -> None:
    chosen: dict[str, Any] = {"train_inter__method": method}
    if method == "mean_teacher":
        chosen["train_inter__self_training"] = SELF_TRAINING
    single, double = (inter(**chosen, train_inter__batch_size=images) for images in (1, 2))
    assert double.flop == 2 * single.flop
    assert double.activations == pytest.approx(
        2 * single.activations, rel=0.02
    )  # except for the statistics of batch normalisation
    assert double.weights == single.weights


def test_advent_needs_between_one_and_four_times_the_flops_of_source_only() -> None:
    source_only, advent = inter(train_inter__method="source_only"), inter()
    assert source_only.flop < advent.flop < 4 * source_only.flop
    assert source_only.weights < advent.weights
    assert source_only.activations <= advent.activations


def test_a_new_method_is_counted_by_running_its_code(toy_method: str) -> None:
    once, twice = inter(train_inter__method="source_only"), inter(train_inter__method=toy_method)
    assert twice.flop == 2 * once.flop
    assert twice.activations > 1.9 * once.activations  # the two graphs share only the label


def test_each_stage_has_the_sizes_of_the_images_that_it_reads() -> None:
    wide = tree()["preprocess"]["source"] | {"size": [128, 32]}
    source, inter, intra = cost_estimate.estimate_all(params_with(preprocess__source=wide))
    assert source.sizes == ((128, 32),)
    assert inter.sizes == ((128, 32), (64, 32))
    assert intra.sizes == ((64, 32), (64, 32))
    assert intra.flop < inter.flop


def test_the_command_prints_a_row_for_each_training_stage(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["estimate"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    columns = ["stage", "method", "images", "GiB", "TFLOP", "iterations", "GFLOP/s", "time"]
    assert head.split() == columns
    assert [row.split()[:2] for row in lines[:3]] == [
        ["train_source", "source_only"], ["train_inter", "advent"], ["train_intra", "advent"],
    ]  # fmt: skip
    assert "2 of 64x32 + 2 of 64x32" in lines[1] and all(row.endswith(" s") for row in lines[:3])
    assert "(cpu, threads: 1)" in " ".join(lines) and "times as long as the median" in " ".join(lines)
    assert not list(checkout.rglob("runs"))
    logs = [str(path.relative_to(checkout)) for path in checkout.rglob("logs/**/*") if path.is_file()]
    assert logs == ["logs/progress/estimate.json"]  # the time left of a run is shown from it


def test_the_command_reads_the_preset_of_the_given_name(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "presets").mkdir()
    preset = change(tree(), train_inter__method="minent", train_inter__init="data/no/such/weights.pth")
    (checkout / "presets/mine.yaml").write_text(plain_yaml.dump(preset))
    assert main(["estimate", "mine"]) == 0
    assert "train_inter   minent" in capsys.readouterr().out
    assert main(["estimate", "mien"]) == 1
    assert "did you mean mine?" in capsys.readouterr().err


def test_a_supervised_batch_in_train_intra_adds_flops() -> None:
    def cost(supervision: str) -> cost_estimate.Cost:
        return cost_estimate.estimate_stage(params_with(train_intra__supervision=supervision), "train_intra")

    pseudo, source, both = (cost(name).flop for name in ("pseudo", "source", "both"))
    assert pseudo < both and source < both
    assert len(cost("both").sizes) == 3 and len(cost("pseudo").sizes) == 2


@pytest.mark.parametrize("supervision", ["pseudo", "source", "both"])
def test_labelled_target_images_count_in_step_3_alone(supervision: str) -> None:
    """An iteration has a batch of them or of the source; the larger images are assumed."""
    few = {**tree()["preprocess"]["target"], "size": [96, 32], "weight": 1}
    params = params_with(target_labelled={"few": few}, train_intra__supervision=supervision)
    assert cost_estimate.estimate_stage(params, "train_intra").sizes == ((64, 32), (64, 32), (96, 32))
    assert cost_estimate.estimate_stage(params, "train_inter").sizes == ((64, 32), (64, 32))


def test_a_training_on_crops_costs_what_its_crops_cost() -> None:
    crop = {"crop": {"size": [48, 32], "cat_max_ratio": 0.75, "tries": 10}}
    plain = tree()["train_inter"]["augment"]
    on_crops = inter(train_inter__augment=plain | crop)
    sizes = {"preprocess__source__size": [48, 32], "preprocess__target__size": [48, 32]}
    assert on_crops == inter(**sizes)
    assert on_crops.sizes == ((48, 32), (48, 32))
    own = inter(train_inter__augment=plain | crop, train_inter__augment_target=plain)
    assert own.sizes == ((48, 32), (64, 32))


def test_a_training_in_bf16_is_counted_as_float32() -> None:
    exact, rounded = (params_with(compute__precision=precision) for precision in ("float32", "bf16"))
    assert cost_estimate.estimate_all(rounded) == cost_estimate.estimate_all(exact)


def test_micro_batches_save_the_activations_of_one_and_need_the_flops_of_the_whole_batch() -> None:
    whole, accumulated, small = (
        inter(train_inter__batch_size=images, train_inter__gradient_accumulation_steps=count)
        for images, count in ((4, 1), (4, 2), (2, 1))
    )
    assert accumulated.activations == pytest.approx(small.activations, rel=0.02)
    assert (accumulated.flop, accumulated.weights) == (whole.flop, whole.weights)


@pytest.mark.parametrize("name", MODELS)
def test_activation_checkpointing_saves_fewer_activations_and_needs_more_flops(name: str) -> None:
    model, advent = {"name": name, "options": networks.options(name)}, {"train_inter__batch_size": 2}
    plain, checkpointed = (
        inter(model=model, compute__activation_checkpointing=enabled, **advent) for enabled in (False, True)
    )
    assert checkpointed.activations < 0.8 * plain.activations
    assert plain.flop < checkpointed.flop < 1.4 * plain.flop
    assert checkpointed.weights == plain.weights


def test_the_activations_of_a_recomputed_block_are_counted() -> None:
    block = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Sigmoid(), nn.Sigmoid())
    features = torch.ones(3, 8, requires_grad=True)
    saved = cost_estimate._recomputed_bytes(block, features, list(block.parameters()))
    assert saved == 2 * features.nbytes  # the outputs of both sigmoids; the input is saved in any case
