from __future__ import annotations

import weakref
from collections.abc import Iterator
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.schema import Heads, LossWeights
from intrada.core.errors import UserError
from intrada.data.loader import Batch
from intrada.methods import METHODS, adaptsegnet, advent, bn_only, method, minent, source_only
from intrada.methods.backward import back_propagate, training_step
from intrada.methods.base import AdversarialNetworks, Group, Loss
from intrada.methods.entropy import information_map
from intrada.methods.losses import SOURCE, TARGET, cross_entropy, domain_bce
from intrada.models import discriminator
from tests.support.tiny_segmenter import build

C, SIZE = 3, 32  # the discriminator needs 32 pixels
WEIGHTS = LossWeights(seg=Heads(main=1.0, aux=0.1), target=Heads(main=0.25, aux=0.5))
HEADS = ("main", "aux")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def networks() -> AdversarialNetworks:
    """The same networks each time."""
    torch.manual_seed(0)
    segmenter = build(C)
    discriminators = nn.ModuleDict({head: discriminator.build(C, width=2) for head in HEADS})
    return AdversarialNetworks(segmenter.train(), discriminators.train())


def batch(seed: int, labelled: bool) -> Batch:
    random = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=random, dtype=torch.uint8)
    label = torch.randint(0, C, (2, SIZE, SIZE), generator=random)
    return Batch(["a", "b"], image, label if labelled else torch.full_like(label, 255))


SOURCES, TARGETS = batch(1, True), batch(2, False)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def statistics(found: AdversarialNetworks) -> Tensor:
    mean, variance = found.segmenter.norm.running_mean, found.segmenter.norm.running_var
    return torch.cat([mean, variance]).clone()


def clear(found: AdversarialNetworks) -> None:
    found.segmenter.zero_grad(set_to_none=True)
    found.discriminators.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_a_module_of_its_name_that_says_what_it_needs(name: str) -> None:
    module = method(name)
    assert module.__name__ == METHODS[name] == f"intrada.methods.{name}"
    assert isinstance(module.NEEDS_TARGET, bool) and isinstance(module.ADVERSARIAL, bool)


def test_an_unknown_method_is_refused_with_the_names() -> None:
    with pytest.raises(UserError, match="source_only, bn_only, minent, adaptsegnet, advent"):
        method("minnet")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_finite_named_losses_and_a_gradient_to_each_weight(name: str) -> None:
    found, way = networks(), import_module(METHODS[name])
    record = training_step(way, found, SOURCES, TARGETS, WEIGHTS)
    assert record.keys() >= {"seg_main", "seg_aux"}
    assert all(value.isfinite() and value.ndim == 0 and not value.requires_grad for value in record.values())
    assert all(p.grad is not None for p in found.segmenter.parameters())
    trained = [p.grad is not None for p in found.discriminators.parameters()]
    assert trained == [way.ADVERSARIAL] * len(trained)


def test_advent_trains_g_to_mislead_d_and_d_to_discriminate_and_never_the_other_way_round() -> None:
    found = networks()
    groups = advent.losses(found, SOURCES, TARGETS, WEIGHTS)

    supervised = next(groups)
    assert list(supervised.losses) == ["seg_main", "seg_aux"]
    back_propagate([supervised])
    assert gradients(found.segmenter) and not gradients(found.discriminators)

    clear(found)
    adversarial = next(groups)
    assert list(adversarial.losses) == ["adv_main", "adv_aux"]
    back_propagate([adversarial])
    assert not gradients(found.discriminators)
    assert all(value.abs().sum() > 0 for value in (found.segmenter.main.weight.grad,))

    for domain in ("target", "source"):
        clear(found)
        discriminator = next(groups)
        assert list(discriminator.losses) == [f"d_{domain}_main", f"d_{domain}_aux"]
        back_propagate([discriminator])
        assert not gradients(found.segmenter)
        assert len(gradients(found.discriminators)) == len(list(found.discriminators.parameters()))
    assert next(groups, None) is None


def test_advent_is_the_papers_objective_worked_in_one_piece() -> None:
    """Gradients of G and of D against the formulas of AdvEnt, written down without groups or freezing."""
    found, whole = networks(), networks()
    record = training_step(advent, found, SOURCES, TARGETS, WEIGHTS)

    source, target = whole.predict(SOURCES), whole.predict(TARGETS)
    seg = {head: cross_entropy(source[head], SOURCES.label) for head in HEADS}
    d_logits = {head: whole.discriminators[head](information_map(target[head])) for head in HEADS}
    adversarial = {head: domain_bce(d_logits[head], SOURCE) for head in HEADS}
    of_g = 1.0 * seg["main"] + 0.1 * seg["aux"] + 0.25 * adversarial["main"] + 0.5 * adversarial["aux"]
    weights = dict(whole.segmenter.named_parameters())
    expected = dict(zip(weights, torch.autograd.grad(of_g, list(weights.values())), strict=True))
    torch.testing.assert_close(gradients(found.segmenter), expected)

    d_losses = {}
    for domain, logits, truth in (("source", source, SOURCE), ("target", target, TARGET)):
        for head in HEADS:
            seen = information_map(logits[head]).detach()
            d_losses[f"d_{domain}_{head}"] = domain_bce(whole.discriminators[head](seen), truth)
    (sum(d_losses.values()) / 2).backward()
    torch.testing.assert_close(gradients(found.discriminators), gradients(whole.discriminators))

    logged = {f"seg_{h}": seg[h] for h in HEADS} | {f"adv_{h}": adversarial[h] for h in HEADS} | d_losses
    torch.testing.assert_close(record, {name: value.detach() for name, value in logged.items()})


def test_weights_scale_the_gradient_and_not_what_is_logged() -> None:
    one, two = networks(), networks()
    doubled = LossWeights(seg=Heads(main=2.0, aux=0.2), target=Heads(main=0.5, aux=1.0))
    records = [
        training_step(advent, one, SOURCES, TARGETS, WEIGHTS),
        training_step(advent, two, SOURCES, TARGETS, doubled),
    ]
    torch.testing.assert_close(records[0], records[1], rtol=0, atol=0)
    twice = {name: 2 * value for name, value in gradients(one.segmenter).items()}
    torch.testing.assert_close(gradients(two.segmenter), twice)
    torch.testing.assert_close(gradients(two.discriminators), gradients(one.discriminators), rtol=0, atol=0)


def test_a_weight_of_zero_silences_its_loss() -> None:
    found = networks()
    muted = LossWeights(seg=Heads(main=1.0, aux=0.0), target=Heads(main=0.0, aux=0.0))
    training_step(advent, found, SOURCES, TARGETS, muted)
    assert not found.segmenter.aux.weight.grad.any()
    alone = networks()
    training_step(source_only, alone, SOURCES, None, muted)
    torch.testing.assert_close(gradients(found.segmenter), gradients(alone.segmenter))


def test_source_only_never_touches_the_target() -> None:
    found, untouched = networks(), networks()
    training_step(source_only, found, SOURCES, None, WEIGHTS)  # None has no image to look at
    training_step(source_only, untouched, SOURCES, TARGETS, WEIGHTS)
    assert torch.equal(statistics(found), statistics(untouched))
    torch.testing.assert_close(gradients(found.segmenter), gradients(untouched.segmenter), rtol=0, atol=0)


def test_bn_only_changes_the_statistics_by_the_target_and_nothing_else() -> None:
    found, alone = networks(), networks()
    training_step(bn_only, found, SOURCES, TARGETS, WEIGHTS)
    training_step(source_only, alone, SOURCES, None, WEIGHTS)
    torch.testing.assert_close(gradients(found.segmenter), gradients(alone.segmenter), rtol=0, atol=0)
    assert not torch.equal(statistics(found), statistics(alone))
    with torch.no_grad():
        alone.predict(TARGETS)
    assert torch.equal(statistics(found), statistics(alone))


def test_the_labels_of_the_target_are_not_looked_at() -> None:
    labelled = TARGETS._replace(label=torch.zeros_like(TARGETS.label))
    for name in METHODS:
        one, two = networks(), networks()
        training_step(import_module(METHODS[name]), one, SOURCES, TARGETS, WEIGHTS)
        training_step(import_module(METHODS[name]), two, SOURCES, labelled, WEIGHTS)
        torch.testing.assert_close(gradients(one.segmenter), gradients(two.segmenter), rtol=0, atol=0)


def test_only_one_graph_is_alive() -> None:
    """A group is asked for after the last has been back-propagated and forgotten."""
    order: list[str] = []
    network = nn.Linear(1, 1, bias=False)

    def groups() -> Iterator[Group]:
        for name in ("first", "second"):
            value = network.weight.sum() * 1.0
            value.register_hook(lambda grad, name=name: order.append(f"{name} back"))
            weakref.finalize(value, order.append, f"{name} gone")
            order.append(f"{name} asked")
            yield Group({name: Loss(value, 1.0)}, network)
            del value

    back_propagate(groups())
    assert order == [
        "first asked", "first back", "first gone", "second asked", "second back", "second gone",
    ]  # fmt: skip


def test_predictions_have_the_size_of_the_images() -> None:
    assert {head: tuple(v.shape) for head, v in networks().predict(SOURCES).items()} == dict.fromkeys(
        HEADS, (2, C, SIZE, SIZE)
    )


def test_minent_asks_for_the_mean_pixel_entropy_of_the_target() -> None:
    first, second = networks(), networks()
    groups = minent.losses(first, SOURCES, TARGETS, WEIGHTS)
    next(groups)
    group = next(groups).losses
    second.predict(SOURCES)  # moves the running statistics as the first group did
    for head, logits in second.predict(TARGETS).items():
        entropy = information_map(logits).sum(1).mean()
        assert group[f"entropy_{head}"].value.item() == pytest.approx(entropy.item())
        assert group[f"entropy_{head}"].weight == getattr(WEIGHTS.target, head)
    assert next(groups, None) is None


def test_adaptsegnet_shows_its_discriminators_softmax_maps() -> None:
    found, seen = networks(), list[Tensor]()
    found.discriminators["main"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    training_step(adaptsegnet, found, SOURCES, TARGETS, WEIGHTS)
    assert len(seen) == 2  # the target's logits serve G and D
    for maps in seen:
        assert torch.allclose(maps.sum(1), torch.ones(2, SIZE, SIZE))
    assert not torch.equal(seen[0], seen[1])
