"""Refuse a `mapping` in the form of earlier versions, with an error that shows it in the new form."""

from __future__ import annotations

from typing import Any

from intrada.core.config import plain_yaml
from intrada.core.errors import UserError


def refuse(where: str, tree: dict[str, Any]) -> None:
    """Raise UserError if a domain of the params `tree` has a `mapping` from values to classes.

    The old forms are {id: class} and [{color: [red, green, blue], class: name}]. Some commands of DVC, such
    as `dvc exp show`, cannot read integer keys.
    """
    groups = {name: tree[name] for name in ("preprocess", "sources", "target_labelled") if name in tree}
    named = {
        f"{group}.{name}": block
        for group, blocks in groups.items()
        for name, block in (blocks.items() if isinstance(blocks, dict) else ())
    }
    converted: dict[str, list[str]] = {}
    for key, block in named.items():
        options = block.get("options") if isinstance(block, dict) else None
        if isinstance(options, dict) and (new := _converted(options.get("mapping"), options.get("ignore"))):
            converted.setdefault(new, []).append(key)
    if converted:
        lines = [
            line
            for new, domains in converted.items()
            for line in (f"  options of {', '.join(domains)}:", *(f"  {line}" for line in new.splitlines()))
        ]
        raise UserError(
            f"{where}, mapping",
            "values -> classes, the form of earlier versions; in the new form:",
            "each class -> a list of its ids, or of its colours as '#rrggbb'",
            "replace the old lines by these",
            lines,
        )


def _converted(mapping: object, ignore: object) -> str | None:
    """Return the new form as YAML lines; None unless this is a valid mapping of an old form."""
    values: dict[str, list[Any]] = {}
    if isinstance(mapping, dict):
        for value, name in mapping.items():
            if type(value) is not int or not isinstance(name, str):
                return None
            values.setdefault(name, []).append(value)
    elif isinstance(mapping, list):
        for entry in mapping:
            if not isinstance(entry, dict) or set(entry) != {"color", "class"}:
                return None
            values.setdefault(str(entry["class"]), []).append(_hexadecimal(entry["color"]))
        ignore = [_hexadecimal(color) for color in ignore] if isinstance(ignore, list) else ignore
    if not values:
        return None
    new = {"mapping": values} | ({"ignore": ignore} if ignore else {})
    return "\n".join(f"  {key}: {plain_yaml.dump(value, flow=True).strip()}" for key, value in new.items())


def _hexadecimal(color: object) -> object:
    """Return [128, 128, 128] as '#808080'; anything else unchanged."""
    if isinstance(color, list) and len(color) == 3 and all(type(value) is int for value in color):
        return f"#{bytes(color).hex()}" if all(0 <= value <= 255 for value in color) else color
    return color
