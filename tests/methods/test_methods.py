from __future__ import annotations

import weakref
from collections.abc import Iterator
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.training_blocks import Heads, LossWeights
from intrada.core.errors import UserError
from intrada.data.batch import Batch, StudentView
from intrada.methods import METHODS, adaptsegnet, advent, bn_only, method, minent, source_only
from intrada.methods.backward import back_propagate, training_step
from intrada.methods.base import AdversarialNetworks, Group, Loss
from intrada.methods.entropy import information_map
from intrada.methods.losses import SOURCE, TARGET, cross_entropy, domain_bce
from intrada.models import discriminator
from tests.methods.self_training.test_teacher import teacher
from tests.support.tiny_segmenter import build

C, SIZE = 3, 32  # 32 pixels are the smallest size that the discriminator accepts
WEIGHTS = LossWeights(seg=Heads(main=1.0, aux=0.1), target=Heads(main=0.25, aux=0.5))
HEADS = ("main", "aux")


pytestmark = pytest.mark.usefixtures("one_thread")


def networks() -> AdversarialNetworks:
    """Return new networks with the same weights in each call."""
    torch.manual_seed(0)
    segmenter = build(C)
    discriminators = nn.ModuleDict({head: discriminator.build(C, width=2) for head in HEADS})
    return AdversarialNetworks(segmenter.train(), discriminators.train(), teacher=teacher(segmenter))


def batch(seed: int, labelled: bool) -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=random, dtype=torch.uint8)
    label = torch.randint(0, C, (2, SIZE, SIZE), generator=random)
    return Batch(["a", "b"], image, label if labelled else torch.full_like(label, 255))


def seen(target: Batch) -> Batch:
    """Return a target batch with what a student sees of it: labels that no method may take from `target`."""
    label = torch.arange(SIZE).expand(2, SIZE, SIZE) % C
    return target._replace(view=StudentView(target._replace(label=label), None, torch.tensor(1.0)))


SOURCES, TARGETS = batch(1, True), seen(batch(2, False))


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def statistics(nets: AdversarialNetworks) -> Tensor:
    mean, variance = nets.segmenter.norm.running_mean, nets.segmenter.norm.running_var
    return torch.cat([mean, variance]).clone()


def clear(nets: AdversarialNetworks) -> None:
    nets.segmenter.zero_grad(set_to_none=True)
    nets.discriminators.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_a_module_that_defines_needs_target_and_adversarial(name: str) -> None:
    module = method(name)
    assert module.__name__ == METHODS[name] == f"intrada.methods.{name}"
    assert isinstance(module.NEEDS_TARGET, bool) and isinstance(module.ADVERSARIAL, bool)


def test_the_error_for_an_unknown_method_lists_the_methods() -> None:
    with pytest.raises(UserError, match="source_only, bn_only, minent, adaptsegnet, advent, mean_teacher"):
        method("minnet")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_finite_losses_and_a_gradient_for_each_weight(name: str) -> None:
    trained, module = networks(), import_module(METHODS[name])
    record = training_step(module, trained, SOURCES, TARGETS, WEIGHTS)
    assert record.keys() >= {"seg_main", "seg_aux"}
    assert all(value.isfinite() and value.ndim == 0 and not value.requires_grad for value in record.values())
    assert all(p.grad is not None for p in trained.segmenter.parameters())
    has_gradient = [p.grad is not None for p in trained.discriminators.parameters()]
    assert has_gradient == [module.ADVERSARIAL] * len(has_gradient)


def test_each_loss_group_of_advent_gives_gradients_to_one_network_only() -> None:
    trained = networks()
    groups = advent.losses(trained, SOURCES, TARGETS, WEIGHTS)

    supervised = next(groups)
    assert list(supervised.losses) == ["seg_main", "seg_aux"]
    back_propagate([supervised])
    assert gradients(trained.segmenter) and not gradients(trained.discriminators)

    clear(trained)
    adversarial = next(groups)
    assert list(adversarial.losses) == ["adv_main", "adv_aux"]
    back_propagate([adversarial])
    assert not gradients(trained.discriminators)
    assert all(value.abs().sum() > 0 for value in (trained.segmenter.main.weight.grad,))

    for domain in ("target", "source"):
        clear(trained)
        discriminator = next(groups)
        assert list(discriminator.losses) == [f"d_{domain}_main", f"d_{domain}_aux"]
        back_propagate([discriminator])
        assert not gradients(trained.segmenter)
        assert len(gradients(trained.discriminators)) == len(list(trained.discriminators.parameters()))
    assert next(groups, None) is None


def test_the_gradients_of_advent_are_those_of_the_papers_objective() -> None:
    """Compare G's and D's gradients with AdvEnt's equations, computed without loss groups."""
    trained, reference = networks(), networks()
    record = training_step(advent, trained, SOURCES, TARGETS, WEIGHTS)

    source, target = reference.predict(SOURCES), reference.predict(TARGETS)
    seg = {head: cross_entropy(source[head], SOURCES.label) for head in HEADS}
    d_logits = {head: reference.discriminators[head](information_map(target[head])) for head in HEADS}
    adversarial = {head: domain_bce(d_logits[head], SOURCE) for head in HEADS}
    of_g = 1.0 * seg["main"] + 0.1 * seg["aux"] + 0.25 * adversarial["main"] + 0.5 * adversarial["aux"]
    weights = dict(reference.segmenter.named_parameters())
    expected = dict(zip(weights, torch.autograd.grad(of_g, list(weights.values())), strict=True))
    torch.testing.assert_close(gradients(trained.segmenter), expected)

    d_losses = {}
    for domain, logits, truth in (("source", source, SOURCE), ("target", target, TARGET)):
        for head in HEADS:
            information = information_map(logits[head]).detach()
            d_losses[f"d_{domain}_{head}"] = domain_bce(reference.discriminators[head](information), truth)
    (sum(d_losses.values()) / 2).backward()
    torch.testing.assert_close(gradients(trained.discriminators), gradients(reference.discriminators))

    logged = {f"seg_{h}": seg[h] for h in HEADS} | {f"adv_{h}": adversarial[h] for h in HEADS} | d_losses
    torch.testing.assert_close(record, {name: value.detach() for name, value in logged.items()})


def test_loss_weights_scale_the_gradients_but_not_the_logged_losses() -> None:
    first, second = networks(), networks()
    doubled = LossWeights(seg=Heads(main=2.0, aux=0.2), target=Heads(main=0.5, aux=1.0))
    records = [
        training_step(advent, first, SOURCES, TARGETS, WEIGHTS),
        training_step(advent, second, SOURCES, TARGETS, doubled),
    ]
    torch.testing.assert_close(records[0], records[1], rtol=0, atol=0)
    twice = {name: 2 * value for name, value in gradients(first.segmenter).items()}
    torch.testing.assert_close(gradients(second.segmenter), twice)
    torch.testing.assert_close(
        gradients(second.discriminators), gradients(first.discriminators), rtol=0, atol=0
    )


def test_a_loss_of_weight_zero_gives_no_gradient() -> None:
    trained = networks()
    muted = LossWeights(seg=Heads(main=1.0, aux=0.0), target=Heads(main=0.0, aux=0.0))
    training_step(advent, trained, SOURCES, TARGETS, muted)
    assert not trained.segmenter.aux.weight.grad.any()
    reference = networks()
    training_step(source_only, reference, SOURCES, None, muted)
    torch.testing.assert_close(gradients(trained.segmenter), gradients(reference.segmenter))


def test_source_only_does_not_use_the_target() -> None:
    without_target, with_target = networks(), networks()
    training_step(source_only, without_target, SOURCES, None, WEIGHTS)
    training_step(source_only, with_target, SOURCES, TARGETS, WEIGHTS)
    assert torch.equal(statistics(without_target), statistics(with_target))
    torch.testing.assert_close(
        gradients(without_target.segmenter), gradients(with_target.segmenter), rtol=0, atol=0
    )


def test_bn_only_uses_the_target_for_the_running_statistics_only() -> None:
    trained, reference = networks(), networks()
    training_step(bn_only, trained, SOURCES, TARGETS, WEIGHTS)
    training_step(source_only, reference, SOURCES, None, WEIGHTS)
    torch.testing.assert_close(gradients(trained.segmenter), gradients(reference.segmenter), rtol=0, atol=0)
    assert not torch.equal(statistics(trained), statistics(reference))
    with torch.no_grad():
        reference.predict(TARGETS)
    assert torch.equal(statistics(trained), statistics(reference))


def test_no_method_uses_the_labels_of_the_target() -> None:
    labelled = TARGETS._replace(label=torch.zeros_like(TARGETS.label))
    for name in METHODS:
        first, second = networks(), networks()
        training_step(import_module(METHODS[name]), first, SOURCES, TARGETS, WEIGHTS)
        training_step(import_module(METHODS[name]), second, SOURCES, labelled, WEIGHTS)
        torch.testing.assert_close(gradients(first.segmenter), gradients(second.segmenter), rtol=0, atol=0)


def test_a_graph_is_freed_before_the_next_group_is_computed() -> None:
    order: list[str] = []
    network = nn.Linear(1, 1, bias=False)

    def groups() -> Iterator[Group]:
        for name in ("first", "second"):
            value = network.weight.sum() * 1.0
            value.register_hook(lambda grad, name=name: order.append(f"{name} back-propagated"))
            weakref.finalize(value, order.append, f"{name} freed")
            order.append(f"{name} computed")
            yield Group({name: Loss(value, 1.0)}, network)
            del value

    back_propagate(groups())
    events = ("computed", "back-propagated", "freed")
    assert order == [f"{name} {event}" for name in ("first", "second") for event in events]


def test_predictions_have_the_size_of_the_images() -> None:
    assert {head: tuple(v.shape) for head, v in networks().predict(SOURCES).items()} == dict.fromkeys(
        HEADS, (2, C, SIZE, SIZE)
    )


def test_minent_minimises_the_mean_pixel_entropy_of_the_target() -> None:
    first, second = networks(), networks()
    groups = minent.losses(first, SOURCES, TARGETS, WEIGHTS)
    next(groups)
    group = next(groups).losses
    second.predict(SOURCES)  # updates the running statistics as the first group did
    for head, logits in second.predict(TARGETS).items():
        entropy = information_map(logits).sum(1).mean()
        assert group[f"entropy_{head}"].value.item() == pytest.approx(entropy.item())
        assert group[f"entropy_{head}"].weight == getattr(WEIGHTS.target, head)
    assert next(groups, None) is None


def test_the_discriminators_of_adaptsegnet_receive_softmax_maps() -> None:
    trained, received = networks(), list[Tensor]()
    trained.discriminators["main"].register_forward_pre_hook(lambda _, inputs: received.append(inputs[0]))
    training_step(adaptsegnet, trained, SOURCES, TARGETS, WEIGHTS)
    assert len(received) == 2  # one map of each domain: D's logits for the target are reused
    for maps in received:
        assert torch.allclose(maps.sum(1), torch.ones(2, SIZE, SIZE))
    assert not torch.equal(received[0], received[1])
