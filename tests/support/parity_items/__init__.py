"""Golden values of the published code, recomputed: one module for each kind of item of a manifest.

An item is a file of stored values. Its module has

- `compute(reference, name)`: the values as this project's code makes them. Only inputs, seeds and
  settings are read from the folder, never the stored results;
- `compare(reference, name, found)`: found against stored, value by value;
- `INPUTS`: keys of the file that `compute` reads, or that only describe the file.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# What an item's name starts with -> its module, so that the training item may come in any number.
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
    """The module that recomputes the item `name`, a file name; LookupError if none does."""
    for prefix, module in ITEMS.items():
        if name.startswith(prefix):
            return import_module(f"tests.support.parity_items.{module}")
    raise LookupError(f"nothing recomputes {name}")
