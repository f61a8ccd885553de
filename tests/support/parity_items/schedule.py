"""Item h: learning rates of both optimisers by the poly schedule."""

from __future__ import annotations

from typing import Any

from torch import nn

from intrada.models import build_model
from intrada.training.optimizers import discriminator_optimizer, segmenter_optimizer, set_learning_rate
from intrada.training.schedules import poly
from tests.support.parity_items.comparing import Comparison, relative
from tests.support.parity_items.reference import Reference

INPUTS = frozenset({"config"})


def compute(reference: Reference, name: str) -> dict[str, Any]:
    stored, setting = reference.stored(name), reference.setting
    config = stored["config"]
    long = (config["LEARNING_RATE"], config["LEARNING_RATE_D"], config["MAX_ITERS"], config["POWER"])
    short = (setting["learning_rate"], setting["learning_rate_d"], setting["max_iters"], setting["power"])
    count = len(stored["golden_d_lr_MAX_ITERS_10"])
    return {
        "generator": {i: _rates(int(i), *long)[0] for i in stored["generator"]},
        "discriminator": {i: _rates(int(i), *long)[1] for i in stored["discriminator"]},
        "golden_d_lr_MAX_ITERS_10": [[rates[0] for rates in _rates(i, *short)] for i in range(count)],
    }


def _rates(
    iteration: int, base: float, base_d: float, max_iters: int, power: float
) -> tuple[list[float], list[float]]:
    """Return the learning rates of the parameter groups of both optimisers in an iteration."""
    generator = segmenter_optimizer(build_model("small", 2, {}), "sgd", base)
    d_optimizer = discriminator_optimizer(nn.Conv2d(1, 1, 1), base_d)
    for optimizer, start in ((generator, base), (d_optimizer, base_d)):
        set_learning_rate(optimizer, poly(start, iteration, max_iters, power))
    backbone, heads = (group["lr"] for group in generator.param_groups)
    return [backbone, heads], [group["lr"] for group in d_optimizer.param_groups]


def compare(reference: Reference, name: str, actual: dict[str, Any]) -> list[Comparison]:
    stored, tolerance = reference.stored(name), reference.tolerance("forward_f64_rel")
    comparisons = []
    for key in ("generator", "discriminator"):
        for iteration, expected in stored[key].items():
            comparisons.append(relative([key, iteration], actual[key][iteration], expected, tolerance))
    key = "golden_d_lr_MAX_ITERS_10"
    for i, expected in enumerate(stored[key]):
        comparisons.append(relative([key, i], actual[key][i], expected, tolerance))
    return comparisons
