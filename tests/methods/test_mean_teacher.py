"""The losses of the method mean_teacher, and how it composes with AdvEnt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.training_blocks import Heads, LossWeights
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch
from intrada.methods import advent, mean_teacher, source_only
from intrada.methods.backward import training_step
from intrada.methods.base import AdversarialNetworks
from intrada.methods.losses import cross_entropy
from intrada.models import discriminator
from tests.methods.self_training.test_teacher import CLASSES, batch, student, teacher

WEIGHTS = LossWeights(seg=Heads(main=1.0, aux=0.1), target=Heads(main=0.25, aux=0.5))
HEADS = ("main", "aux")

pytestmark = pytest.mark.usefixtures("one_thread")


def networks(**settings: Any) -> AdversarialNetworks:
    """Return networks with the same weights in each call; settings: of the teacher."""
    segmenter = student()
    torch.manual_seed(1)
    discriminators = nn.ModuleDict({head: discriminator.build(len(CLASSES), width=2) for head in HEADS})
    return AdversarialNetworks(segmenter, discriminators.train(), teacher=teacher(segmenter, **settings))


def run(nets: AdversarialNetworks, weights: LossWeights = WEIGHTS) -> tuple[dict[str, Tensor], Batch]:
    """Back-propagate the losses of one batch; return them, and the target batch as its teacher labelled it."""
    assert nets.teacher
    given = nets.teacher.label(TrainBatch(batch(1, labelled=True), batch(2), None), 0)
    assert given.target
    return training_step(mean_teacher, nets, given.source, given.target, weights), given.target


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def test_the_gradient_is_that_of_the_cross_entropy_on_source_and_mixed_images() -> None:
    settings = {"mix": "source_on_target", "confidence": "image_share", "threshold": 0.6, "weight": 0.7}
    trained, reference = networks(**settings), networks()
    losses, target = run(trained)
    assert target.view
    mixed = target.view.mixed
    on_source, on_target = reference.predict(batch(1, labelled=True)), reference.predict(mixed)
    expected = {
        f"seg_{head}": cross_entropy(on_source[head], batch(1, labelled=True).label) for head in HEADS
    }
    expected |= {
        f"self_{head}": cross_entropy(on_target[head], mixed.label, mixed.pixel_weight) for head in HEADS
    }
    total = sum(
        factor * (expected[f"seg_{head}"] + 0.7 * expected[f"self_{head}"])
        for head, factor in (("main", 1.0), ("aux", 0.1))
    )
    assert isinstance(total, Tensor)
    total.backward()
    torch.testing.assert_close(gradients(trained.segmenter), gradients(reference.segmenter))
    expected["teacher_confident"] = target.view.confident
    torch.testing.assert_close(losses, {name: value.detach() for name, value in expected.items()})
    assert not gradients(trained.discriminators)


def test_the_weights_of_pixels_scale_their_losses_but_not_their_number() -> None:
    logits, label = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 1, 255, 0]]])
    weight = torch.tensor([[[1.0, 0.5, 1.0, 0.0]]])
    expected = torch.log(torch.tensor(2.0)) * 1.5 / 3
    torch.testing.assert_close(cross_entropy(logits, label, weight), expected)


@pytest.mark.parametrize("mix", ["none", "source_on_target"])
def test_with_a_self_training_weight_of_0_and_an_adversary_the_gradients_are_those_of_advent(
    mix: str,
) -> None:
    trained, reference = networks(adversary="advent", weight=0.0, mix=mix), networks()
    losses, target = run(trained)
    expected = training_step(advent, reference, batch(1, labelled=True), target, WEIGHTS)
    torch.testing.assert_close(gradients(trained.segmenter), gradients(reference.segmenter))
    torch.testing.assert_close(gradients(trained.discriminators), gradients(reference.discriminators))
    torch.testing.assert_close({name: losses[name] for name in expected}, expected)


def test_masked_images_add_their_cross_entropy() -> None:
    masked = {"block": 8, "ratio": 0.5, "weight": 0.3}
    trained, reference = networks(masked=masked, weight=0.0), networks()
    losses, target = run(trained)
    assert target.view and target.view.masked
    training_step(source_only, reference, batch(1, labelled=True), None, WEIGHTS)
    hidden = target.view.masked
    predicted = reference.predict(hidden)
    values = {head: cross_entropy(predicted[head], hidden.label, hidden.pixel_weight) for head in HEADS}
    (0.3 * (values["main"] + 0.1 * values["aux"])).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gradients(trained.segmenter), gradients(reference.segmenter))
    for head in HEADS:
        torch.testing.assert_close(losses[f"masked_{head}"], values[head].detach())


def test_the_feature_distance_is_0_at_the_initial_weights_and_pulls_back_to_them() -> None:
    settings = {"weight": 0.0, "feature_distance": {"weight": 10.0, "classes": ["car"], "min_share": 0.1}}
    losses, _ = run(networks(**settings))
    assert losses["features"] == 0
    moved = networks(**settings)
    with torch.no_grad():
        moved.segmenter.body.bias.add_(5.0)  # type: ignore[union-attr, operator]
    no_source = WEIGHTS.model_copy(update={"seg": Heads(main=0.0, aux=0.0)})
    further, _ = run(moved, no_source)
    assert further["features"].isfinite()
    assert moved.segmenter.body.weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]
    assert not moved.segmenter.main.weight.grad.any()  # type: ignore[union-attr, operator]


def test_a_batch_that_no_teacher_has_labelled_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a teacher"):
        training_step(mean_teacher, networks(), batch(1), batch(2), WEIGHTS)
    with pytest.raises(ValueError, match="needs a teacher"):
        training_step(mean_teacher, replace(networks(), teacher=None), batch(1), batch(2), WEIGHTS)
