"""Gradient accumulation over micro-batches gives the losses and gradients of the whole batch."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.classes import IGNORE
from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.data.batch import Batch, MicroBatchWeight
from intrada.data.train_batches import TrainBatch
from intrada.methods import METHODS
from intrada.training.cost_estimate import build_trainer
from intrada.training.trainer import Trainer
from tests.support.tiny_project import PARAMS, SELF_TRAINING, change, tree

SIZE, IMAGES, CPU = (32, 64), 4, torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


def build(gradient_accumulation_steps: int, method: str = "advent", **changes: Any) -> Trainer:
    """Return a new trainer with the same weights in each call.

    Its batch normalisation is in evaluation mode, so that it does not use the statistics of a micro-batch.
    """
    block: dict[str, Any] = {
        "train_inter__method": method,
        "train_inter__gradient_accumulation_steps": gradient_accumulation_steps,
    }
    if method == "mean_teacher":
        block["train_inter__self_training"] = SELF_TRAINING
    params = validate(PARAMS, change(tree(), train_inter__batch_size=IMAGES, **block, **changes))
    torch.manual_seed(0)
    trainer = build_trainer(params, params.train_inter, CPU)
    for module in trainer.networks.segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return trainer


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


def run_step(trainer: Trainer, batch: TrainBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Run one iteration; return its losses and all gradients."""
    losses = trainer.step(batch)
    networks = nn.ModuleDict(
        {"segmenter": trainer.networks.segmenter, "discriminators": trainer.networks.discriminators}
    )
    return losses, {name: p.grad for name, p in networks.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "labels, micro_batches",
    [("even", 4), ("uneven", 2), ("uneven", 4), ("one image ignored", 4), ("all ignored", 2)],
)
@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_give_the_losses_and_gradients_of_the_whole_batch(
    method: str, labels: str, micro_batches: int
) -> None:
    step = TrainBatch(batch(1, labels), batch(2), None)
    actual, expected = (run_step(build(count, method), step) for count in (micro_batches, 1))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_the_supervised_batch_is_split_into_micro_batches_too() -> None:
    step = TrainBatch(batch(1, "uneven"), batch(2), batch(3, "one image ignored"))
    actual, expected = (run_step(build(micro_batches), step) for micro_batches in (2, 1))
    assert {"supervised_main", "supervised_aux"} < set(actual[0])
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_losses_of_micro_batches_in_bf16_add_up_to_those_of_the_whole_batch() -> None:
    step = TrainBatch(batch(1, "uneven"), batch(2), None)
    actual, expected = (
        run_step(build(micro_batches, compute__precision="bf16"), step)[0] for micro_batches in (2, 1)
    )
    torch.testing.assert_close(actual, expected, rtol=2e-2, atol=2e-2)


def test_a_micro_batch_has_its_fraction_of_the_images_and_labelled_pixels_as_weight() -> None:
    whole = batch(1, "one image ignored")
    assert whole.micro_batches(1, 11) == [whole] and whole.weight is None
    micro_batches = whole.micro_batches(4, 11)
    assert [item.ids for item in micro_batches] == [["image0"], ["image1"], ["image2"], ["image3"]]
    assert torch.equal(torch.cat([item.image for item in micro_batches]), whole.image)
    assert torch.equal(torch.cat([item.label for item in micro_batches]), whole.label)
    pixels = [32 * 64, 0, 5 * 64, 32 * 64]
    weights = [item.weight for item in micro_batches if item.weight]
    assert [weight.images for weight in weights] == [0.25] * 4
    assert [weight.pixels.item() for weight in weights] == pytest.approx([n / sum(pixels) for n in pixels])
    unlabelled = [item.weight for item in batch(1, "all ignored").micro_batches(2, 11)]
    assert [weight.pixels.item() for weight in unlabelled if weight] == [0.0, 0.0]


def test_the_logits_of_a_micro_batch_are_freed_before_the_next_is_computed() -> None:
    trainer, alive, most = build(4), [0], [0]
    head = trainer.networks.segmenter.get_submodule("main")

    def hook(_: nn.Module, inputs: Any, logits: Tensor) -> None:
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        weakref.finalize(logits, lambda: alive.__setitem__(0, alive[0] - 1))

    head.register_forward_hook(hook)
    trainer.step(TrainBatch(batch(1), batch(2), None))
    assert most == [1] and alive == [0]


def test_batch_normalisation_uses_the_statistics_of_the_micro_batches() -> None:
    trainer = build(2, "source_only")
    norms = [module for module in trainer.networks.segmenter.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train()
    trainer.step(TrainBatch(batch(1), None, None))
    assert {int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None} == {2}


def test_a_batch_size_that_the_number_of_micro_batches_does_not_divide_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        build(3)
    assert caught.value.found.startswith("train_inter")
    assert caught.value.found.endswith("gradient_accumulation_steps 3 does not divide batch_size 4")


def test_the_weight_of_a_micro_batch_of_one_process_is_the_product_of_both_weights() -> None:
    """One process has 2 of 4 images with 3 of 4 labelled pixels; its second image has 1 of these 3."""
    label = torch.full((2, 1, 4), 255)
    label[0, 0, :2] = 0
    label[1, 0, 0] = 1
    local = Batch(["a", "b"], torch.zeros(2, 3, 1, 4, dtype=torch.uint8), label)
    local = local._replace(weight=MicroBatchWeight(0.5, torch.tensor(0.75)), update_bn_stats=False)
    weights = [item.weight for item in local.micro_batches(2, classes=2)]
    assert [weight.images for weight in weights if weight] == [0.25, 0.25]
    assert [float(weight.pixels) for weight in weights if weight] == [0.5, 0.25]
    assert not any(item.update_bn_stats for item in local.micro_batches(2, classes=2))
