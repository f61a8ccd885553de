"""Item a: names, shapes and counts of the networks, weights of the published optimiser, filled weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intrada.models import discriminator
from intrada.training.optimizers import published_multiplicity
from tests.support.parity_items.comparing import Comparison, exact, items, relative
from tests.support.parity_items.reference import Reference

INPUTS: frozenset[str] = frozenset()


def compute(reference: Reference, name: str) -> dict[str, Any]:
    segmenter = reference.segmenter(torch.float32)
    network = discriminator.build(reference.setting["num_classes"])
    names = {id(weight): key for key, weight in segmenter.named_parameters()}
    backbone = [module for child, module in segmenter.named_children() if child not in segmenter.head_names]
    repeats = published_multiplicity(backbone)
    discriminators = reference.discriminators(torch.float32)
    return {
        **_described("deeplabv2_r101_multi", segmenter),
        **_described("discriminator", network),
        "deeplabv2_r101_single_missing": [key for key in segmenter.state_dict() if key.startswith("layer5.")],
        "sgd_group0_multiplicity": {names[id(weight)]: count for weight, count in repeats.items()},
        "sgd_group1": [names[id(weight)] for weight in segmenter.parameter_groups()["heads"]],
        "filled_checksums": {
            "generator": _sums(segmenter.state_dict()),
            "d_aux": _sums(discriminators["aux"].state_dict()),
            "d_main": _sums(discriminators["main"].state_dict()),
        },
    }


def _described(name: str, net: nn.Module) -> dict[str, Any]:
    state = net.state_dict()
    weights = list(net.parameters())
    return {
        name: [[key, list(v.shape), str(v.dtype).removeprefix("torch.")] for key, v in state.items()],
        f"{name}_n_params": sum(weight.numel() for weight in weights),
        f"{name}_n_trainable": sum(weight.numel() for weight in weights if weight.requires_grad),
    }


def _sums(state: dict[str, Tensor]) -> dict[str, list[float]]:
    return {key: [v.double().sum().item(), v.double().abs().sum().item()] for key, v in state.items()}


def compare(reference: Reference, name: str, actual: dict[str, Any]) -> list[Comparison]:
    stored = reference.stored(name)
    comparisons = []
    for key, own in actual.items():
        if key == "sgd_group0_multiplicity":
            comparisons.append(exact([key, "names"], sorted(own), sorted(stored[key])))
            comparisons += [
                exact([key, weight], own.get(weight), expected) for weight, expected in stored[key].items()
            ]
        elif isinstance(own, list):
            comparisons.append(exact([key], items(own), items(stored[key])))
        elif key != "filled_checksums":
            comparisons.append(exact([key], own, stored[key]))
    tolerance = reference.tolerance("forward_f64_rel")
    for net, sums in actual["filled_checksums"].items():
        for key, expected in stored["filled_checksums"][net].items():
            where = ["filled_checksums", net, key]
            comparisons.append(relative(where, sums[key], expected, tolerance))
    return comparisons
