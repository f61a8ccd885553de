"""Which tables a schema accepts, worked by hand; the messages are those of test_tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from intrada.data.table_schema import Column, Rule, Schema, above, at_least, between, each, one_of


def wrong(column: Column, values: list[Any]) -> list[tuple[int | None, str]]:
    """Return (row, what it is not) of each wrong value of a table with this one column."""
    faults = Schema({"a": column}).faults(pd.DataFrame({"a": values}))
    assert all(fault.column == "a" for fault in faults)
    return [(fault.row, fault.words) for fault in faults]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (at_least(1), [1, 2], [0, -3]),
        (above(0), [0.5, 1], [0, -1]),
        (between(0, 100), [0, 50, 100], [-0.1, 100.1, float("inf")]),
        (one_of([0, 1]), [0, 1], [2, -1]),
    ],
)
def test_each_rule_for_numbers(rule: Rule, good: list[float], bad: list[float]) -> None:
    assert wrong(Column(float, (rule,)), good) == []
    assert wrong(Column(float, (rule,)), [*good, *bad]) == [
        (len(good) + number, rule.words) for number in range(len(bad))
    ]


def test_a_rule_for_texts_is_asked_for_each() -> None:
    short = each("short", lambda text: len(text) < 3)
    assert wrong(Column(str, (short, one_of(["ab"]))), ["ab", "abc"]) == [(1, "short"), (1, "one of ab")]


@pytest.mark.parametrize(
    ("kind", "values", "rows"),
    [
        (int, [1, 2], []),
        (int, [4.0, float("nan")], [1]),  # 4 beside an empty cell
        (int, [4.0, 5.0], [0, 1]),  # 4.0 in the file
        (int, [1.5, 2.0], [0]),
        (int, ["1", "x"], [1]),
        (int, [2**63 - 1, -(2**63)], []),
        (int, [2**63, 1], [0]),
        (int, [True, False], [0, 1]),
        (float, [1, 2], []),
        (float, [1.5, float("nan")], [1]),
        (float, ["1.5", "x", ""], [1, 2]),
        (float, [10**400, 1], [0]),
        (str, ["a", ""], []),
        (str, ["a", None], [1]),
        (str, [1, 2], [0, 1]),
    ],
)
def test_values_of_another_type_are_wrong(kind: type, values: list[Any], rows: list[int]) -> None:
    assert [row for row, _ in wrong(Column(kind), values)] == rows


def test_a_number_may_be_missing_where_the_schema_says_so() -> None:
    column = Column(float, (between(0, 1),), empty=True)
    assert wrong(column, [float("nan"), 0.5]) == []
    assert wrong(column, ["", "x", "2"]) == [(1, "a number"), (2, "in 0..1")]


def test_each_of_several_equal_values_is_named_where_they_must_differ() -> None:
    assert wrong(Column(str, unique=True), ["a", "b", "a"]) == [(0, "unique"), (2, "unique")]


def names(schema: Schema, *columns: str) -> list[str]:
    """Return what is wrong with the header of a table."""
    return [str(fault) for fault in schema.faults(pd.DataFrame([[1] * len(columns)], columns=[*columns]))]


def test_names_and_order_of_columns() -> None:
    schema = Schema({"a": Column(int), "b": Column(int)})
    assert names(schema, "a", "b") == []
    assert names(schema, "a") == ["'b' is not among the columns"]
    assert names(schema, "a", "b", "c") == ["'c' is not one of the columns a, b"]
    assert names(schema, "b", "a") == [
        "'b' is not in its place, which is that of a",
        "'a' is not in its place, which is that of b",
    ]
    assert names(Schema(schema.columns, ordered=False), "b", "a") == []


def test_further_columns_follow_their_pattern_and_are_checked() -> None:
    schema = Schema({"a": Column(int)}, others=("p_.+", Column(int, (at_least(2),))))
    assert names(schema, "a") == ["['a'] is not a header with a column p_.+"]
    assert names(schema, "a", "p_x") == ["line 2, column p_x: 1 is not at least 2"]
    assert names(schema, "a", "p_x", "p_") == [
        "'p_' is not one of the columns a",
        "line 2, column p_x: 1 is not at least 2",
    ]


def test_whole_numbers_in_a_column_of_floats_become_floats_and_others_stay() -> None:
    frame = Schema({"a": Column(float), "b": Column(int)}).typed(pd.DataFrame({"a": [1], "b": [2]}))
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "int64"]
