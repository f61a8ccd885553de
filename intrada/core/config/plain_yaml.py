"""YAML that is nothing but plain values: what a params file may hold.

Refused: tags of any kind (dates without quotes too), a key that stands twice, and aliases, depth or digits
that make a small file a large one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_KINDS = ("map", "seq", "str", "int", "float", "bool", "null", "merge")  # of YAML: what JSON holds as well
_VALUES, _DEPTH, _DIGITS = 10_000, 40, 40  # far beyond any params file; the longest has hundreds of values


def read(path: Path) -> object:
    """The values in a file; OSError, ValueError (not UTF-8), YAMLError or RecursionError for what is none."""
    with path.open(encoding="utf-8") as file:
        return yaml.load(file, _Plain)


class _Plain(yaml.SafeLoader):
    """Refuses what is no plain value, a key that stands twice and aliases that multiply a small file."""

    def construct_document(self, node: yaml.Node) -> Any:
        _weigh(node, 0, {})
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _misfit(key, f"the key {key.value} stands twice")
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _weigh(node: yaml.Node, depth: int, known: dict[yaml.Node, int]) -> int:
    """How many values are at and below `node` with its aliases written out; YAMLError for too many."""
    if node not in known:
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _KINDS:
            raise _misfit(node, f"a value of the kind {node.tag}, as a date without quotes is one")
        if depth > _DEPTH:
            raise _misfit(node, f"blocks or brackets more than {_DEPTH} deep")
        if node.tag.endswith(":int") and len(node.value) > _DIGITS:
            raise _misfit(node, f"a whole number of more than {_DIGITS} digits")
        known[node] = _VALUES + 1  # should it hold itself
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [part for entry in below for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[node] = 1 + sum(_weigh(part, depth + 1, known) for part in inner)
    if known[node] > _VALUES:
        raise _misfit(node, f"more than {_VALUES} values, aliases (*name) written out")
    return known[node]


def _misfit(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
