"""Which tables a schema accepts, worked by hand; the messages are those of test_tables."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
import pytest
from pydantic import Field

from intrada.data.table_schema import Column, Schema

INT, FLOAT, TEXT = (
    Annotated[int, Field(ge=-(2**63), lt=2**63)], Annotated[float, Field()], Annotated[str, Field()],
)  # fmt: skip
UNIT = Annotated[float, Field(ge=0, le=1)]


def wrong(column: Column, values: list[Any]) -> list[tuple[int | None, str]]:
    """Return (row, reason) of each wrong value of a table with this one column."""
    faults = Schema({"a": column}).faults(pd.DataFrame({"a": values}))
    assert all(fault.column == "a" for fault in faults)
    return [(fault.row, fault.reason) for fault in faults]


def test_each_value_out_of_its_range_is_named() -> None:
    reasons = [
        (2, "valid: Input should be greater than or equal to 0"),
        (3, "valid: Input should be less than or equal to 1"),
    ]
    assert wrong(Column(UNIT), [0, 1, -0.1, float("inf")]) == reasons


@pytest.mark.parametrize(
    ("type_", "values", "rows"),
    [
        (INT, [1, 2], []),
        (INT, [4.0, float("nan")], [1]),  # 4 beside an empty cell
        (INT, [4.0, 5.0], [0, 1]),  # 4.0 in the file
        (INT, [1.5, 2.0], [0]),
        (INT, ["1", "x"], [1]),
        (INT, [2**63 - 1, -(2**63)], []),
        (INT, [2**63, 1], [0]),
        (INT, [True, False], [0, 1]),
        (FLOAT, [1, 2], []),
        (FLOAT, [1.5, float("nan")], [1]),
        (FLOAT, ["1.5", "x", ""], [1, 2]),
        (FLOAT, [10**400, 1], [0]),
        (TEXT, ["a", ""], []),
        (TEXT, ["a", None], [1]),
        (TEXT, [1, 2], [0, 1]),
    ],
)
def test_values_of_another_type_are_wrong(type_: Any, values: list[Any], rows: list[int]) -> None:
    assert [row for row, _ in wrong(Column(type_), values)] == rows


def test_a_number_may_be_missing_where_the_schema_says_so() -> None:
    column = Column(UNIT, empty=True)
    assert wrong(column, [float("nan"), 0.5]) == []
    assert [row for row, _ in wrong(column, ["", "x", "2"])] == [1, 2]


def test_each_of_several_equal_values_is_named_where_they_must_differ() -> None:
    twice = "unique"
    assert wrong(Column(TEXT, unique=True), ["a", "b", "a"]) == [(0, twice), (2, twice)]


def names(schema: Schema, *columns: str) -> list[str]:
    """Return what is wrong with the header of a table."""
    return [str(fault) for fault in schema.faults(pd.DataFrame([[1] * len(columns)], columns=[*columns]))]


def test_names_and_order_of_columns() -> None:
    schema = Schema({"a": Column(INT), "b": Column(INT)})
    assert names(schema, "a", "b") == []
    assert names(schema, "a") == ["'b' is not among the columns"]
    assert names(schema, "a", "b", "c") == ["'c' is not one of the columns a, b"]
    assert names(schema, "b", "a") == [
        "'b' is not in its place, which is that of a",
        "'a' is not in its place, which is that of b",
    ]
    assert names(Schema(schema.columns, ordered=False), "b", "a") == []


def test_further_columns_follow_their_pattern_and_are_checked() -> None:
    schema = Schema({"a": Column(INT)}, others=("p_.+", Column(Annotated[int, Field(ge=2)])))
    assert names(schema, "a") == ["['a'] is not a header with a column p_.+"]
    assert names(schema, "a", "p_x") == [
        "line 2, column p_x: 1 is not valid: Input should be greater than or equal to 2"
    ]
    assert names(schema, "a", "p_x", "p_") == [
        "'p_' is not one of the columns a",
        "line 2, column p_x: 1 is not valid: Input should be greater than or equal to 2",
    ]


def test_whole_numbers_in_a_column_of_floats_become_floats_and_others_stay() -> None:
    frame = Schema({"a": Column(FLOAT), "b": Column(INT)}).typed(pd.DataFrame({"a": [1], "b": [2]}))
    assert [str(dtype) for dtype in frame.dtypes] == ["float64", "int64"]
