"""Selection and hash of the params that a stage declares.

A stage gets only these keys: its code cannot read a parameter that is not in its `params:` of dvc.yaml.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from intrada.core.config.schema import Params


def select(params: Params, keys: Iterable[str]) -> Params:
    """Return `params` with the dotted `keys` only. Reading any other attribute raises AttributeError."""
    chosen: Params = _construct(params, [key.split(".") for key in keys])
    return chosen


def digest(params: Params, keys: Iterable[str]) -> str:
    """Return a 128-bit hash, 32 hex digits, of the values under the dotted `keys`."""
    whole = params.model_dump(mode="json")
    values = {key: _at(whole, key.split(".")) for key in keys}
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _construct(block: Any, keys: list[list[str]]) -> Any:
    names = {key[0] for key in keys}
    fields: dict[str, Any] = {}
    for name in names:
        value = block[name] if isinstance(block, dict) else getattr(block, name)
        rest = [key[1:] for key in keys if key[0] == name]
        fields[name] = value if [] in rest else _construct(value, rest)
    return fields if isinstance(block, dict) else type(block).model_construct(_fields_set=names, **fields)


def _at(tree: Any, key: list[str]) -> Any:
    for name in key:
        tree = tree[name]
    return tree
