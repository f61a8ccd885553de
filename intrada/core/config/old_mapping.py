"""Earlier versions mapped label values to classes; the new form of such a `mapping`, to be pasted."""

from __future__ import annotations

from typing import Any

from intrada.core.config import plain_yaml
from intrada.core.errors import UserError


def refuse(where: str, tree: dict[str, Any]) -> None:
    """UserError if a domain of the params `tree` has a `mapping` from values to classes.

    It was {id: class} or [{color: [red, green, blue], class: name}]. Whole numbers as keys are what some
    commands of DVC, `dvc exp show` among them, cannot read.
    """
    blocks: Any = tree.get("preprocess")
    converted: dict[str, list[str]] = {}
    for domain, block in blocks.items() if isinstance(blocks, dict) else ():
        options = block.get("options") if isinstance(block, dict) else None
        if isinstance(options, dict) and (new := _converted(options.get("mapping"), options.get("ignore"))):
            converted.setdefault(new, []).append(f"preprocess.{domain}")
    if converted:
        lines = [f"in options of {', '.join(domains)}:\n{new}" for new, domains in converted.items()]
        raise UserError(
            f"{where}, mapping",
            "values -> classes, the form of earlier versions",
            "each class -> a list of its ids, or of its colours as '#rrggbb'",
            "replace these lines\n" + "\n".join(lines),
        )


def _converted(mapping: object, ignore: object) -> str | None:
    """The lines of the new form; None unless this is the old one, whole and without a mistake."""
    found: dict[str, list[Any]] = {}
    if isinstance(mapping, dict):
        for value, name in mapping.items():
            if type(value) is not int or not isinstance(name, str):
                return None
            found.setdefault(name, []).append(value)
    elif isinstance(mapping, list):
        for entry in mapping:
            if not isinstance(entry, dict) or set(entry) != {"color", "class"}:
                return None
            found.setdefault(str(entry["class"]), []).append(_hexadecimal(entry["color"]))
        ignore = [_hexadecimal(color) for color in ignore] if isinstance(ignore, list) else ignore
    if not found:
        return None
    lines = {"mapping": found} | ({"ignore": ignore} if ignore else {})
    return "\n".join(f"  {key}: {plain_yaml.dump(value, flow=True).strip()}" for key, value in lines.items())


def _hexadecimal(color: object) -> object:
    """[128, 128, 128] as '#808080'; what is no colour as it is."""
    if isinstance(color, list) and len(color) == 3 and all(type(value) is int for value in color):
        return f"#{bytes(color).hex()}" if all(0 <= value <= 255 for value in color) else color
    return color
