"""Strategies of the fuzz tests, and their assertion: an input is accepted, or refused with a UserError.

INTRADA_FUZZ_EXAMPLES=2000 python -m pytest tests/*/test_fuzz*.py   # a longer run
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from intrada.core.errors import UserError

EXAMPLES = int(os.environ.get("INTRADA_FUZZ_EXAMPLES", "25"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
TEXT = st.text(max_size=8) | st.sampled_from(
    ["all", "range:0:2", "list:a", "..", "/", "sky", "1e5", "nan", "\0", "a" * 300]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.integers(0, 300), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def user_error(call: Callable[[], object]) -> UserError | None:
    """Call a function and return its UserError, which must have four parts, or None. No other error may occur."""
    try:
        call()
    except UserError as error:
        assert error.where and error.found and error.allowed and error.fix
        return error
    return None


def key_paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of keys of each value of a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, below in inner for path in [(*at, key), *key_paths(below, (*at, key))]]


@st.composite
def mutated(draw: st.DrawFn, valid: Any) -> Any:
    """Draw a copy of the tree `valid` with up to four keys removed, replaced or added."""
    tree = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 4))):
        paths = key_paths(tree)
        if not paths:
            break
        *above, last = draw(st.sampled_from(paths))
        block = tree
        for key in above:
            block = block[key]
        action = draw(st.sampled_from(["remove", "replace", "add"]))
        if action == "remove":
            del block[last]
        elif action == "replace" or not isinstance(block, dict):
            block[last] = draw(VALUES)
        else:
            block[draw(TEXT)] = draw(VALUES)
    return tree


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the bytes with up to four cuts, repetitions, insertions or flips."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        stop = min(len(data), start + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["cut", "repeat", "insert", "flip", "end"])):
            case "cut":
                del data[start:stop]
            case "repeat":
                data[start:start] = data[start:stop] * draw(st.integers(1, 5))
            case "insert":
                data[start:start] = draw(
                    st.binary(max_size=6) | st.sampled_from([b"\n", b",", b'"', b"&a ", b"*a", b": ", b"-"])
                )
            case "flip" if data:
                data[start] = draw(st.integers(0, 255))
            case _:
                del data[start:]
    return bytes(data)
