"""Adaptation methods by name. A method is a module: what one iteration minimises.

`losses(networks, source, target, weights)` yields groups of losses; the loop back-propagates each group
before it asks for the next, so that only one graph is alive. NEEDS_TARGET and ADVERSARIAL say whether
target batches are read and whether discriminators are trained. A new method is one module and one
line here (import strings: a stage depends on the module of the chosen method only).
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
    """The module of a method; UserError lists the names."""
    if name not in METHODS:
        raise UserError("method", repr(name), ", ".join(METHODS), "choose one of these in params.yaml")
    return import_module(METHODS[name])
