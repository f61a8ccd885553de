"""Strategies of the fuzz tests, and their assertion: an input is accepted, or refused with a UserError.

INTRADA_FUZZ_EXAMPLES=2000 python -m pytest --timeout=0 tests/*/test_fuzz*.py   # a longer run
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
    return [path for key in keys_of(value) for path in [(*at, key), *key_paths(value[key], (*at, key))]]


def keys_of(value: Any) -> list[Any]:
    """Return the keys or positions of a mapping or a list; [] for another value."""
    return list(value) if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []


@st.composite
def path_in(draw: st.DrawFn, tree: Any) -> tuple[Any, ...]:
    """Draw the path of keys of a value.

    Half of them are one of all paths, which reaches the many keys of large blocks. The others are a key of
    the tree, then mostly one of its value, and so on, which reaches a small block as often as a large one.
    """
    path: tuple[Any, ...] = ()
    if draw(st.booleans()):
        return draw(st.sampled_from(key_paths(tree) or [path]))
    while (keys := keys_of(tree)) and not (path and draw(st.integers(0, 3)) == 3):
        key = draw(st.sampled_from(keys))
        path, tree = (*path, key), tree[key]
    return path


@st.composite
def mutated(draw: st.DrawFn, valid: Any) -> Any:
    """Draw a copy of the tree `valid` with up to four keys removed, replaced, added or slightly changed."""
    tree = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(path_in(tree))
        if not path:
            break
        *above, last = path
        block = tree
        for key in above:
            block = block[key]
        action = draw(st.sampled_from(["remove", "replace", "add", "nudge", "nudge"]))
        if action == "remove":
            del block[last]
        elif action == "nudge":
            block[last] = draw(nudged(block[last]))
        elif action == "replace" or not isinstance(block, dict):
            block[last] = draw(VALUES)
        else:
            block[draw(TEXT)] = draw(VALUES)
    return tree


def nudged(value: Any) -> st.SearchStrategy[Any]:
    """Draw a value that may well be valid in place of `value`."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return st.sampled_from([0, 1, value + 1, value * 2, value // 2, -value, 10**6])
    if isinstance(value, float):
        return st.sampled_from([0.0, 1.0, value / 2, value * 2, -value, 1e-12, 1e12])
    return st.just(value) | TEXT if isinstance(value, str) else st.just(value)


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
