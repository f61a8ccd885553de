"""Parser of params files: YAML 1.2 as DVC reads it (ruamel.yaml), restricted to plain values.

The parser and its settings are DVC's, so a stage computes with the values that dvc.lock records. It refuses
tags, directives, dates without quotes, infinity, NaN, duplicate keys, and files that expand to very many
values through aliases, depth or long numbers.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from textwrap import shorten
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    ScalarEvent,
)

_VALUES, _DEPTH, _DIGITS = 10_000, 40, 40  # limits; the longest preset has hundreds of values


def read(path: Path) -> object:
    """Return the values in a file. OSError; ValueError for invalid UTF-8, and as from `parse`."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> object:
    """Return the values in a text: mappings, lists, strings, numbers, booleans and None.

    ValueError, with the line, for any other value and for invalid YAML.
    """
    try:
        _ValueCounter().check(text)
        value = YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        if conflict := re.search(r"^<{7} ", text, re.MULTILINE):
            line = text.count("\n", 0, conflict.start()) + 1
            raise ValueError(f"contains a merge conflict of Git, line {line}") from None
        problem = shorten(", ".join(filter(None, (error.context, error.problem))), 300)
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(problem + where) from None
    except YAMLError as error:
        raise ValueError(str(error)) from None
    _check_value(value, "")
    return value


def parse_generated(text: str) -> object:
    """Return the values in a text that a program wrote, such as dvc.lock; without the limits of `parse`.

    ValueError for invalid YAML.
    """
    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from None


def compose(text: str) -> Any:
    """Return ruamel.yaml's node of a text that `parse` accepts; nodes know their places in the text."""
    return YAML(typ="safe", pure=True).compose(text)


def dump(tree: object, flow: bool = False) -> str:
    """Return the text that `parse` reads as `tree`. Keys keep their order. flow: on one line."""
    writer = YAML(typ="safe")
    writer.default_flow_style = flow
    writer.width = 2**20 if flow else None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.representer.ignore_aliases = lambda _: True
    text = io.StringIO()
    writer.dump(tree, text)
    return text.getvalue()


class _ValueCounter:
    """Counts the values of a text with its aliases expanded, before any value is constructed."""

    def __init__(self) -> None:
        self.of_anchor: dict[str, int] = {}  # number of values that an alias expands to
        self.open: list[tuple[str | None, int]] = [(None, 0)]  # the open collections: anchor, values so far

    def check(self, text: str) -> None:
        """Raise ValueError for a tag, a directive, more than _VALUES values or more than _DEPTH levels."""
        for event in YAML(typ="safe").parse(text):
            if isinstance(event, DocumentStartEvent) and (event.version or event.tags):
                raise _refusal("a directive (%)", event)
            if getattr(event, "tag", None):
                raise _refusal(f"the tag {event.tag}", event)
            if isinstance(event, AliasEvent):
                self._add(event, None, self.of_anchor.get(event.anchor, 0))
            elif isinstance(event, ScalarEvent):
                self._add(event, event.anchor, 1)
            elif isinstance(event, CollectionStartEvent):
                self.open.append((event.anchor, 1))
                self.of_anchor[event.anchor] = _VALUES  # until its end: a collection may contain itself
                if len(self.open) > _DEPTH:
                    raise _refusal(f"blocks or brackets more than {_DEPTH} deep", event)
            elif isinstance(event, CollectionEndEvent):
                self._add(event, *self.open.pop())

    def _add(self, event: Event, anchor: str | None, count: int) -> None:
        """Add `count` values to the innermost open collection."""
        parent, total = self.open[-1]
        self.open[-1] = (parent, total + count)
        if total + count > _VALUES:
            raise _refusal(f"more than {_VALUES} values, aliases (*name) expanded", event)
        if anchor:
            self.of_anchor[anchor] = count


def _check_value(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, child in value.items():
            if type(key) not in (str, int):
                raise ValueError(f"the key {key!r} in {where or 'the file'}: write it in quotes")
            _check_value(child, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for child in value:
            _check_value(child, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} = {value}: a number that is not finite")
    elif isinstance(value, int) and abs(value) >= 10**_DIGITS:
        raise ValueError(f"{where}: an integer of more than {_DIGITS} digits")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise ValueError(f"{where} = {value}: a {type(value).__name__}; write it in quotes")


def _refusal(problem: str, event: Event) -> ValueError:
    mark: Any = event.start_mark
    return ValueError(f"{problem}, line {mark.line + 1}")
