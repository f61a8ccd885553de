"""Items d: a few iterations of AdvEnt or MinEnt in float64, with or without repeated weights in SGD."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.methods import method
from intrada.methods.backward import training_step
from intrada.methods.base import AdversarialNetworks
from intrada.training.optimizers import discriminator_optimizer, segmenter_optimizer, set_learning_rate
from intrada.training.schedules import poly
from tests.support.parity_items.comparing import Comparison, exact, relative
from tests.support.parity_items.reference import Reference

INPUTS = frozenset({"tag", "method", "dtype", "dedup", "sgd"})
# Name in the reference -> our name, and the factor of the value that the reference prints.
LOSSES = {
    "loss_seg_src_{}": ("seg_{}", 1.0),
    "loss_adv_trg_{}": ("adv_{}", 1.0),
    "loss_d_{}": ("d_target_{}", 0.5),
    "loss_ent_{}": ("entropy_{}", 1.0),
}


def compute(reference: Reference, name: str) -> list[dict[str, Any]]:
    """Return the losses of each iteration, and the summaries of all tensors after it."""
    stored, setting = reference.stored(name), reference.setting
    method_module = method(stored["method"].lower())
    segmenter = reference.segmenter(torch.float64).train()
    discriminators = reference.discriminators(torch.float64) if method_module.ADVERSARIAL else nn.ModuleDict()
    optimizer = segmenter_optimizer(
        segmenter,
        "sgd",
        setting["learning_rate"],
        momentum=setting["momentum"],
        weight_decay=setting["weight_decay"],
        multiplicity="once" if stored["dedup"] else "published",
    )
    used = {optimizer: setting["learning_rate"]}
    if discriminators:
        d_optimizer = discriminator_optimizer(
            discriminators, setting["learning_rate_d"], setting["adam_betas"]
        )
        used[d_optimizer] = setting["learning_rate_d"]
    weights = _weights(setting, "lambda_adv" if method_module.ADVERSARIAL else "lambda_ent")
    history = []
    for i in range(setting["iterations"]):
        for used_optimizer, base in used.items():
            rate = poly(base, i, setting["max_iters"], setting["power"])
            set_learning_rate(used_optimizer, rate)
            used_optimizer.zero_grad(set_to_none=True)
        source, target = _batch(reference, "source", i), _batch(reference, "target", i)
        losses = training_step(
            method_module, AdversarialNetworks(segmenter, discriminators), source, target, weights
        )
        for used_optimizer in used:
            used_optimizer.step()
        history.append({"losses": losses, **_summaries(segmenter, discriminators)})
    return history


def _batch(reference: Reference, domain: str, iteration: int) -> Batch:
    """Return a batch of one image; the images repeat in the order of the list."""
    names = reference.names(domain)
    index = iteration % len(names)
    size = f"{domain}_size"
    label = torch.from_numpy(reference.label(domain, index, reference.size(size)).astype("int64"))
    return Batch([names[index]], reference.image(domain, index, size)[None], label[None])


def _weights(setting: dict[str, Any], of_target: str) -> LossWeights:
    main, aux = setting[of_target]
    seg = {"main": 1.0, "aux": setting["lambda_seg_aux"]}
    return LossWeights.model_validate({"seg": seg, "target": {"main": main, "aux": aux}})


def _summaries(segmenter: nn.Module, discriminators: nn.ModuleDict) -> dict[str, dict[str, list[float]]]:
    grads = {k: w.grad for k, w in segmenter.named_parameters() if w.grad is not None}
    return {
        "grads": {key: _summary(value) for key, value in grads.items()},
        "params": {key: _summary(value) for key, value in segmenter.state_dict().items()},
        **{
            f"d_{head}": {k: _summary(v) for k, v in net.state_dict().items()}
            for head, net in discriminators.items()
        },
    }


def _summary(value: Tensor) -> list[float]:
    """Return the sum, the sum of absolute values, the sum of squares and the first element."""
    value = value.detach().double()
    return [f.item() for f in (value.sum(), value.abs().sum(), value.square().sum(), value.flatten()[0])]


def compare(reference: Reference, name: str, actual: list[dict[str, Any]]) -> list[Comparison]:
    stored, tolerance = reference.stored(name), reference.tolerance("training_f64_rel")
    groups = ("losses", "grads", "params", "d_aux", "d_main")
    comparisons = [exact([g, "length"], sum(g in own for own in actual), len(stored[g])) for g in groups]
    for i, own in enumerate(actual):
        comparisons.append(exact(["losses", i, "iter"], i, stored["losses"][i]["iter"]))
        for theirs, (ours, factor) in LOSSES.items():
            for head in ("aux", "main"):
                key = theirs.format(head)
                if key in stored["losses"][i]:
                    value = float(own["losses"][ours.format(head)]) * factor
                    comparisons.append(
                        relative(["losses", i, key], value, stored["losses"][i][key], tolerance)
                    )
        for group in groups[1:]:
            for key, expected in stored[group][i].items() if stored[group] else ():
                comparisons += _four([group, i, key], own[group][key], expected, tolerance)
    return comparisons


def _four(
    where: list[str | int], actual: list[float], expected: list[float], tolerance: float
) -> list[Comparison]:
    """Compare the four numbers of a summary; the error of the sum is relative to the sum of absolutes."""
    reach = [expected[1], 0.0, 0.0, 0.0]
    return [relative([*where, n], actual[n], expected[n], tolerance, reach[n]) for n in range(4)]
