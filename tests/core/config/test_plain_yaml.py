"""A params file has the same values for a stage as for DVC, or it is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intrada.core.config import load, plain_yaml
from intrada.core.errors import UserError
from tests.support import bad_inputs_tree

check = settings(max_examples=150, deadline=None, database=None)

# Scalars that YAML versions or parsers read differently, and values that are not allowed in a params file.
DOUBTFUL = [
    "010",
    "0o10",
    "0O10",
    "08",
    "0x1F",
    "0x",
    "0b101",
    "0b12",
    "1_000",
    "1__0",
    "_1",
    "+1",
    "-0",
    "+_",
    "-_",
    "1:30",
    "190:20:30.15",
    "12:30:45",
    "1e-3",
    "1e3",
    "1E+3",
    "1.e3",
    ".5",
    "5.",
    "._5",
    "._",
    "1.5e3",
    "1e5_0",
    "1e999",
    "-1e999",
    ".inf",
    "-.INF",
    "+.inf",
    ".nan",
    ".NaN",
    "-.nan",
    "nan",
    "inf",
    "yes",
    "Yes",
    "YES",
    "no",
    "on",
    "off",
    "y",
    "n",
    "Y",
    "N",
    "true",
    "True",
    "TRUE",
    "tRue",
    "false",
    "null",
    "Null",
    "~",
    "=",
    "<<",
    ">>",
    "2026-01-01",
    "2026-13-45",
    "2001-12-14t21:59:43.10-05:00",
    "!!int",
    "'5'",
    "!!str",
    "!!float",
    "!!bool",
    "!!null",
    "!!binary",
    "!mine",
    "!",
    "*a",
    "*b",
    "&c",
    "1e-400",
]
SCALARS = st.sampled_from(
    [
        *DOUBTFUL,
        "",
        "a",
        "'010'",
        '"yes"',
        "'1e3'",
        '"\\x41"',
        "!!int '5'",
        "!!str 5",
        "!!bool yes",
        "!!int ''",
    ]
) | st.from_regex(r"[-+]?[0-9_.:eExobn]{1,6}", fullmatch=True)


@st.composite
def flows(draw: st.DrawFn, depth: int = 2) -> str:
    """Draw a value in flow style, possibly with an anchor or an alias."""
    kind = draw(st.sampled_from(["scalar", "scalar", "list", "mapping"])) if depth else "scalar"
    anchor = draw(st.sampled_from(["", "", "", "&a ", "&b "]))
    if kind == "scalar":
        return f"{anchor}{draw(SCALARS)} "
    if kind == "list":
        return f"{anchor}[{', '.join(draw(st.lists(flows(depth=depth - 1), max_size=3)))}]"
    pairs = draw(st.lists(st.tuples(SCALARS, flows(depth=depth - 1)), max_size=3))
    return f"{anchor}{{{', '.join(f'{key} : {value}' for key, value in pairs)}}}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a few lines of keys and values, possibly with directives, merges and second documents."""
    lines = draw(st.lists(st.tuples(SCALARS, flows()), max_size=4))
    head = draw(st.sampled_from(["", "", "", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "\ufeff", "---\n"]))
    tail = draw(
        st.sampled_from(["", "", "", "...\n", "--- {}\n", "? [1]\n: 2\n", "x:\n  <<: {a: 1}\n  a: 2\n"])
    )
    return head + "".join(f"{key} : {value}\n" for key, value in lines) + tail


def same(a: Any, b: Any) -> bool:
    """Return whether a and b are equal in value and type at any depth. An int equals the same float."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted(map(repr, a)) == sorted(map(repr, b))
        return keys and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    numbers = {type(a), type(b)} == {int, float}
    return a == b and (numbers or type(a) is type(b))


def as_dvc_reads(text: str, folder: Path) -> object:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return load_yaml(path)


@check
@example("seed: 010")
@example("flip: yes")
@example("a: &a {x: 1}\nb: {<<: *a, x: 2}")
@given(documents())
def test_any_text_is_refused_or_read_as_dvc_reads_it(tmp_path_factory: Any, text: str) -> None:
    try:
        ours = plain_yaml.parse(text)
    except ValueError:
        return
    assert same(
        ours or {}, as_dvc_reads(text, tmp_path_factory.getbasetemp())
    )  # {}: DVC's value of an empty document
    assert json.loads(json.dumps(ours, allow_nan=False)) == json.loads(json.dumps(ours))  # plain and finite


def leaf_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the keys that lead to each leaf of a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    paths = [leaf for key, child in items for leaf in leaf_paths(child, (*path, key))]
    return paths or [path]


VALID = bad_inputs_tree.params()
PLACEHOLDER = "the value to replace"


@check
@example(("compute", "compile"), "0")
@example(("train_intra", "optimizer", "lr"), "'1e-3'")
@given(st.sampled_from(leaf_paths(VALID)), flows(depth=1))
def test_a_stage_computes_with_the_values_that_dvc_records(
    tmp_path_factory: Any, path: tuple[Any, ...], written: str
) -> None:
    """Replace any value of a valid file by any text: the schema changes no value that it accepts."""
    tree = copy.deepcopy(VALID)
    *parents, last = path
    block: Any = tree
    for key in parents:
        block = block[key]
    block[last] = PLACEHOLDER
    text = plain_yaml.dump(tree).replace(PLACEHOLDER, written)
    try:
        file = tmp_path_factory.getbasetemp() / "params.yaml"
        file.write_text(text, encoding="utf-8")
        chosen = load.load(file)
    except UserError:
        return
    recorded = as_dvc_reads(text, tmp_path_factory.getbasetemp())
    computed = chosen.model_dump(exclude_unset=True)
    assert same(computed, recorded)


@pytest.mark.parametrize(
    "written, value",
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e-3", 0.001),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("'2026-01-01'", "2026-01-01"),
        ("~", None),
    ],
)
def test_a_value_is_that_of_yaml_1_2(written: str, value: object) -> None:
    assert repr(plain_yaml.parse(f"a: {written}")) == repr({"a": value})


@pytest.mark.parametrize(
    "text, why",
    [
        ("{a: 1, a: 2}", 'found duplicate key "a"'),
        ("a: .inf", "a = inf: a number that is not finite"),
        ("a: [1, {b: 1e999}]", "a.b = inf: a number that is not finite"),
        ("a: 2026-01-01", "a = 2026-01-01: a date; write it in quotes"),
        ("\na: !!int '5'", "the tag tag:yaml.org,2002:int, line 2"),
        ("%YAML 1.1\n---\na: 1", "a directive"),
        ("a: {null: 1}", "the key None in a: write it in quotes"),
        ("{true: 1}", "the key True in the file: write it in quotes"),
        ("a: *b", "found undefined alias, line 1"),
        ("a: &a [*a]", "aliases"),
        ("a: &a 1\nb: &a 2", "found duplicate anchor"),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n", "a merge conflict of Git, line 2"),
    ],
)
def test_a_refused_value_is_named_with_its_key_or_line(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        plain_yaml.parse(text)
    assert why in str(caught.value)


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\t -:#'\"%=~!&*,[]{}|>\x85\u2028")
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | st.sampled_from(DOUBTFUL),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@check
@given(st.dictionaries(TEXTS | st.sampled_from(DOUBTFUL), TREES, max_size=3))
def test_a_dumped_tree_is_parsed_to_the_same_tree_in_the_same_order(tree: dict[str, Any]) -> None:
    assert same(plain_yaml.parse(plain_yaml.dump(tree)), tree)
    assert list(plain_yaml.parse(plain_yaml.dump(tree))) == list(tree)  # type: ignore[call-overload]
