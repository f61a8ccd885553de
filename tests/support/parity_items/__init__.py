"""Recompute the golden values of the published code: one module for each kind of item of a manifest.

An item is a file of stored values. Its module has

- `compute(reference, name)`: returns the values that this project's code computes. It reads only inputs,
  seeds and settings from the folder, never the stored results;
- `compare(reference, name, actual)`: compares each actual value with the stored one;
- `INPUTS`: keys of the file that `compute` reads, or that only describe the file.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# Prefix of an item's name -> its module; there can be several items of the training module.
ITEMS = {
    "a_state_dict": "architecture",
    "b_forward": "forward",
    "c_losses": "losses",
    "d_": "training",
    "e_ranking": "ranking",
    "f_eval": "evaluation",
    "f_hist": "confusion",
    "g_preprocess": "preprocessing",
    "h_lr": "schedule",
}


def item_module(name: str) -> ModuleType:
    """Return the module that recomputes the item `name`, a file name; LookupError if there is none."""
    for prefix, module in ITEMS.items():
        if name.startswith(prefix):
            return import_module(f"tests.support.parity_items.{module}")
    raise LookupError(f"nothing recomputes {name}")
