"""Item c: losses and self-information on given logits, labels and discriminator logits, each with its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.methods.entropy import information_map
from intrada.methods.losses import SOURCE, TARGET, cross_entropy, domain_bce, minent
from tests.support.parity_items.comparing import Comparison, relative
from tests.support.parity_items.reference import PRECISIONS, Reference

INPUTS = frozenset({"logits", "target", "d_out", "ent_grad_weight"})
Values = dict[str, NDArray[Any]]


def compute(reference: Reference, name: str, device: str = "cpu") -> Values:
    stored = reference.stored(name)
    inputs = {key: torch.from_numpy(value).to(device) for key, value in stored.items() if key in INPUTS}
    actual: dict[str, Tensor] = {}
    for precision, dtype in PRECISIONS.items():
        logits = inputs["logits"].to(dtype).requires_grad_()
        d_logits = inputs["d_out"].to(dtype).requires_grad_()
        weight = inputs["ent_grad_weight"].to(dtype)
        information = information_map(logits)
        values = {
            "prob": logits.softmax(1),
            "prob_2_entropy": information,
            "prob_2_entropy_mean": information.mean(),
            "entropy_loss": minent(information),
            "ce": cross_entropy(logits, inputs["target"]),
            "ce_all_ignored": cross_entropy(logits, torch.full_like(inputs["target"], 255)),
            "bce0": domain_bce(d_logits, SOURCE),
            "bce1": domain_bce(d_logits, TARGET),
        }
        gradients = {
            "prob_2_entropy_grad": _gradient((information * weight).sum(), logits),
            **{f"{key}_grad": _gradient(values[key], logits) for key in ("entropy_loss", "ce")},
            **{f"{key}_grad": _gradient(values[key], d_logits) for key in ("bce0", "bce1")},
        }
        actual |= {f"{key}_{precision}": value for key, value in (values | gradients).items()}
    return {key: value.detach().cpu().numpy() for key, value in actual.items()}


def _gradient(value: Tensor, of: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(value, of, retain_graph=True)
    return gradient


def compare(reference: Reference, name: str, actual: Values) -> list[Comparison]:
    comparisons = []
    for key, expected in reference.stored(name).items():
        if key in actual:
            # The published loss of an all-ignored target is nan; ours must be 0.
            expected = np.nan_to_num(expected, nan=0.0) if key.startswith("ce_all_ignored") else expected
            comparisons.append(relative([key], actual[key], expected, reference.tolerance("losses_rel")))
    return comparisons
