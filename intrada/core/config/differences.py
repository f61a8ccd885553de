"""The values in which two params files differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

ABSENT = "(absent)"


def between(old: Any, new: Any) -> dict[str, tuple[str, str]]:
    """Return dotted key -> the old and the new value as JSON, for all values that differ.

    Blocks are compared key by key; a key of one of them only has the value `(absent)` in the other.
    """
    return dict(_between("", old, new))


def _between(at: str, old: Any, new: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _between(f"{at}.{name}".lstrip("."), old.get(name, ABSENT), new.get(name, ABSENT))
    elif old != new:
        yield at, (_text(old), _text(new))


def _text(value: Any) -> str:
    return ABSENT if value == ABSENT else json.dumps(value, ensure_ascii=False)
