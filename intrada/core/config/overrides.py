"""Values of params.yaml that a command line replaces: `--set rank.easy_fraction=0.5`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from intrada.core.config import plain_yaml
from intrada.core.errors import UserError

EXAMPLE = "--set rank.easy_fraction=0.5"


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Return dotted key -> value of words in the form `key=value`; the last word of a key counts.

    The value is read as in params.yaml: `0.5` is a number, `[256, 128]` a list, `{}` a mapping. UserError for
    a word without `=` or key, and for a value that is not plain YAML.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign or not all(key.split(".")):
            fix = f"write, for example, {EXAMPLE}"
            raise UserError("--set", repr(word), "KEY=VALUE, with the key's blocks before dots", fix)
        try:
            values[key] = plain_yaml.parse(text)
        except ValueError as error:
            fix = "write the value as in params.yaml; quote it for the shell: --set 'classes=[road, sky]'"
            raise UserError(f"--set {key}", f"{text!r}: {error}", "a value as in params.yaml", fix) from None
    return values


def apply(tree: Any, values: Mapping[str, Any], where: str = "--set") -> Any:
    """Return a copy of a parsed params file in which the dotted keys have these values.

    A key or block that `tree` lacks is added, so that the schema can name it. UserError for a key below
    something that is no block; where: what names the keys, for its message.
    """
    changed = copy.deepcopy(tree)
    for key, value in values.items():
        *above, last = key.split(".")
        block: Any = changed
        for depth, name in enumerate(above, 1):
            if isinstance(block, dict):
                block = block.setdefault(name, {})
            if not isinstance(block, dict):
                raise UserError(
                    f"{where} {key}",
                    f"{'.'.join(above[:depth])} is {block!r}, not a block",
                    "a key of params.yaml",
                    "fix the key",
                )
        if isinstance(block, dict):
            block[last] = value
    return changed
