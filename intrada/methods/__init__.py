"""Adaptation methods by name. A method is a module that defines the losses of one iteration.

`losses(networks, source, target, weights)` yields groups of losses. The training loop back-propagates a
group before it takes the next one, so that only one graph is in memory. NEEDS_TARGET: target batches are
read. ADVERSARIAL: discriminators are trained. A module may name a class Teacher: the training loop makes one,
lets it label each target batch, and updates it after each iteration. To add a method, write one module and
add one line here. The modules are import strings, so that a stage depends on the module of the chosen method
only.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from intrada.core.errors import UserError

if TYPE_CHECKING:
    from intrada.core.config.training_blocks import Training

METHODS: dict[str, str] = {
    "source_only": "intrada.methods.source_only",
    "bn_only": "intrada.methods.bn_only",
    "minent": "intrada.methods.minent",
    "adaptsegnet": "intrada.methods.adaptsegnet",
    "advent": "intrada.methods.advent",
    "mean_teacher": "intrada.methods.mean_teacher",
}


def is_adversarial(block: Training) -> bool:
    """Return whether a training has discriminators."""
    added = block.self_training and block.self_training.adversary != "none"
    return bool(method(block.method).ADVERSARIAL or added)


def method(name: str) -> ModuleType:
    """Return the module of the method called `name`. Raises UserError, which lists the names."""
    if name not in METHODS:
        raise UserError("method", repr(name), ", ".join(METHODS), "choose one of these in params.yaml")
    return import_module(METHODS[name])
