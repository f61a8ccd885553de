"""Change values in the text of a params file; comments and the layout of all other lines stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import indent
from typing import Any

from intrada.core.config import overrides, plain_yaml
from intrada.core.errors import UserError

_LINE = 110  # characters; a longer value is written as a block


def edit(text: str, values: Mapping[str, Any]) -> str:
    """Return `text`, a valid params file, in which the dotted keys have these values.

    A key that its block lacks is added at the end of the block. UserError for a key in a block that does not
    exist, and for a text that would read differently than it should.
    """
    for key, value in values.items():
        before = plain_yaml.parse(text)
        text = _replaced(text, key.split("."), value)
        _check(key, value, before, text)
    return text


def block(tree: Mapping[str, Any]) -> str:
    """Return a mapping as the text that `edit` writes for it: short values on one line, others as blocks."""
    return "\n".join(_rows(tree)) + "\n"


def _replaced(text: str, names: list[str], value: Any) -> str:
    node = plain_yaml.compose(text)
    for name in names[:-1]:
        node = _child(node, name)
    if node is None or not _is_mapping(node):
        found = f"no block {'.'.join(names[:-1])}"
        raise UserError(".".join(names), found, "a key of a block that exists", "fix the key")
    column = node.start_mark.column
    old = _child(node, names[-1])
    if old is None:
        return _added(text, node, names[-1], value)
    start, end = old.start_mark.index, _end(old)
    written = _written(value, column, names[-1], node.flow_style)
    if written.startswith("\n"):
        start = len(text[:start].rstrip())
    elif old.start_mark.column <= column:  # a list below its key may have the key's indentation
        written = f"  {written}"
    return text[:start] + written + text[end:]


def _added(text: str, node: Any, name: str, value: Any) -> str:
    """Return the text with a further key at the end of the mapping `node`."""
    end = _end(node)
    if node.flow_style:
        comma = ", " if node.value else ""
        return f"{text[: end - 1]}{comma}{name}: {_flow(value)}{text[end - 1 :]}"
    line_end = text.find("\n", end)  # after a comment on the same line
    line_end = len(text) if line_end < 0 else line_end
    column = node.start_mark.column
    written = _written(value, column, name, False)
    space = "" if written.startswith("\n") else " "
    return f"{text[:line_end]}\n{' ' * column}{name}:{space}{written}{text[line_end:]}"


def _written(value: Any, column: int, name: str, is_flow: bool) -> str:
    """Return the text of a value: on one line if it fits, else as an indented block."""
    line = _flow(value)
    if is_flow or not isinstance(value, dict) or column + len(name) + 2 + len(line) <= _LINE:
        return line
    return "\n" + indent("\n".join(_rows(value)), " " * (column + 2))


def _rows(tree: Mapping[str, Any]) -> Iterator[str]:
    for name, value in tree.items():
        head = _flow({name: 0})[1:-1].rpartition(":")[0]
        text = _written(value, 0, name, False)
        yield f"{head}:{text}" if text.startswith("\n") else f"{head}: {text}"


def _flow(value: Any) -> str:
    return plain_yaml.dump(value, flow=True).strip().removesuffix("\n...")


def _child(node: Any, name: str) -> Any:
    if node is None or not _is_mapping(node):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _is_mapping(node: Any) -> bool:
    return str(node.tag).endswith(":map")


def _end(node: Any) -> int:
    """Return the index after the last character of a node; that of a block is the end of its last value."""
    if isinstance(node.value, list) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _check(key: str, value: Any, before: object, text: str) -> None:
    """Raise UserError unless the edited text reads as the old one with this one value."""
    separate = plain_yaml.parse(plain_yaml.dump(before))  # aliases of one block become blocks of their own
    if plain_yaml.parse(text) != overrides.apply(separate, {key: value}):
        found = "its place in the file has a form that cannot be edited, such as an alias"
        raise UserError(key, found, "plain blocks, lists and values", "edit the file by hand")
