"""Adaptation methods by name. A method is a module that defines the losses of one iteration.

`losses(networks, source, target, weights)` yields groups of losses. The training loop back-propagates a
group before it takes the next one, so that only one graph is in memory. NEEDS_TARGET: target batches are
read. ADVERSARIAL: discriminators are trained. To add a method, write one module and add one line here. The
modules are import strings, so that a stage depends on the module of the chosen method only.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from intrada.core.errors import UserError

METHODS: dict[str, str] = {
    "source_only": "intrada.methods.source_only",
    "bn_only": "intrada.methods.bn_only",
    "minent": "intrada.methods.minent",
    "adaptsegnet": "intrada.methods.adaptsegnet",
    "advent": "intrada.methods.advent",
}


def method(name: str) -> ModuleType:
    """Return the module of the method called `name`. Raises UserError, which lists the names."""
    if name not in METHODS:
        raise UserError("method", repr(name), ", ".join(METHODS), "choose one of these in params.yaml")
    return import_module(METHODS[name])
