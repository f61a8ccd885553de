"""A batch computed in parts gives the losses and gradients of the whole batch."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.classes import IGNORE
from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.loader import Batch, MicroBatchWeight
from intrada.data.train_batches import TrainBatch
from intrada.methods import METHODS
from intrada.training.cost_estimate import build_trainer
from intrada.training.trainer import Trainer
from tests.support.tiny_project import PARAMS, change, tree

SIZE, IMAGES, CPU = (32, 64), 4, torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def trainer(gradient_accumulation_steps: int, method: str = "advent", **changes: Any) -> Trainer:
    """The same trainer each time; its batch normalisation is in evaluation mode, so that no part has its own."""
    block = {
        "train_inter__method": method,
        "train_inter__gradient_accumulation_steps": gradient_accumulation_steps,
    }
    tried = change(tree(), train_inter__batch_size=IMAGES, **block, **changes)
    params = validate(PARAMS, tried)
    torch.manual_seed(0)
    built = build_trainer(params, params.train_inter, CPU)
    for module in built.networks.segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return built


def batch(seed: int, labels: str = "even") -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (IMAGES, 3, *SIZE), generator=random, dtype=torch.uint8)
    label = torch.randint(0, 11, (IMAGES, *SIZE), generator=random)
    if labels == "uneven":
        for number in range(IMAGES):
            label[number, : 7 * number + 3] = IGNORE
    if labels == "one image ignored":
        label[1] = IGNORE
        label[2, 5:] = -1
    if labels == "all ignored":
        label[:] = IGNORE
    return Batch([f"image{number}" for number in range(IMAGES)], image, label)


def trained(found: Trainer, step: TrainBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The losses and all gradients of one iteration."""
    losses = found.step(step)
    networks = nn.ModuleDict(
        {"segmenter": found.networks.segmenter, "discriminators": found.networks.discriminators}
    )
    return losses, {name: p.grad for name, p in networks.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "labels, micro_batches",
    [("even", 4), ("uneven", 2), ("uneven", 4), ("one image ignored", 4), ("all ignored", 2)],
)
@pytest.mark.parametrize("method", METHODS)
def test_parts_of_a_batch_give_the_losses_and_gradients_of_the_whole(
    method: str, labels: str, micro_batches: int
) -> None:
    step = TrainBatch(batch(1, labels), batch(2), None)
    found, expected = (trained(trainer(count, method), step) for count in (micro_batches, 1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_images_that_no_discriminator_sees_are_cut_alike() -> None:
    step = TrainBatch(batch(1, "uneven"), batch(2), batch(3, "one image ignored"))
    found, expected = (trained(trainer(micro_batches), step) for micro_batches in (2, 1))
    assert {"supervised_main", "supervised_aux"} < set(found[0])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_gradients_of_parts_in_bf16_add_up_to_those_of_the_whole() -> None:
    step = TrainBatch(batch(1, "uneven"), batch(2), None)
    found, expected = (
        trained(trainer(micro_batches, compute__precision="bf16"), step)[0] for micro_batches in (2, 1)
    )
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)


def test_one_part_is_the_batch_itself_and_parts_have_their_share_of_its_labelled_pixels() -> None:
    whole = batch(1, "one image ignored")
    assert whole.micro_batches(1, 11) == [whole] and whole.weight is None
    micro_batches = whole.micro_batches(4, 11)
    assert [part.ids for part in micro_batches] == [["image0"], ["image1"], ["image2"], ["image3"]]
    assert torch.equal(torch.cat([part.image for part in micro_batches]), whole.image)
    assert torch.equal(torch.cat([part.label for part in micro_batches]), whole.label)
    pixels = [32 * 64, 0, 5 * 64, 32 * 64]
    weights = [part.weight for part in micro_batches if part.weight]
    assert [weight.images for weight in weights] == [0.25] * 4
    assert [weight.pixels.item() for weight in weights] == pytest.approx([n / sum(pixels) for n in pixels])
    of_nothing = [part.weight for part in batch(1, "all ignored").micro_batches(2, 11)]
    assert [weight.pixels.item() for weight in of_nothing if weight] == [0.0, 0.0]


def test_the_predictions_of_a_part_are_gone_before_the_next_is_computed() -> None:
    found, alive, most = trainer(4), [0], [0]
    head = found.networks.segmenter.get_submodule("main")

    def watch(_: nn.Module, inputs: Any, logits: Tensor) -> None:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        weakref.finalize(logits, lambda: alive.__setitem__(0, alive[0] - 1))

    head.register_forward_hook(watch)
    found.step(TrainBatch(batch(1), batch(2), None))
    assert most == [1] and alive == [0]


def test_batch_normalisation_sees_the_parts() -> None:
    found = trainer(2, "source_only")
    norms = [module for module in found.networks.segmenter.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
    found.step(TrainBatch(batch(1), None, None))
    assert {int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None} == {2}


def test_a_batch_that_cannot_be_cut_into_equal_parts_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        trainer(3)
    assert caught.value.found.startswith("train_inter")
    assert caught.value.found.endswith("gradient_accumulation_steps 3 does not divide batch_size 4")


def test_a_part_of_what_one_process_holds_counts_by_both_shares() -> None:
    """Of 4 images one process holds 2, with 3 of 4 labelled pixels; its second image has 1 of these 3."""
    label = torch.full((2, 1, 4), 255)
    label[0, 0, :2] = 0
    label[1, 0, 0] = 1
    held = Batch(["a", "b"], torch.zeros(2, 3, 1, 4, dtype=torch.uint8), label)
    held = held._replace(weight=MicroBatchWeight(0.5, torch.tensor(0.75)), update_bn_stats=False)
    weights = [part.weight for part in held.micro_batches(2, classes=2)]
    assert [weight.images for weight in weights if weight] == [0.25, 0.25]
    assert [float(weight.pixels) for weight in weights if weight] == [0.5, 0.25]
    assert not any(part.update_bn_stats for part in held.micro_batches(2, classes=2))
