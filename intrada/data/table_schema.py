"""Schemas of tables: the columns of a table, and the type of the values in each, which pydantic checks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, get_args

import pandas as pd
from pydantic import TypeAdapter, ValidationError


class Fault(NamedTuple):
    """What is wrong in a table.

    row: that of a wrong value, 0 is the first below the header; None for the header; column: its name, "" for
    the header; value: the value, or the name in the header; reason: what it is not, and why.
    """

    row: int | None
    column: str
    value: Any
    reason: str

    def __str__(self) -> str:
        line = "" if self.row is None else f"line {self.row + 2}, "  # the header is line 1
        column = f"column {self.column}: " if self.column else ""
        return f"{line}{column}{self.value!r} is not {self.reason}"


@dataclass(frozen=True, eq=False)
class Column:
    """type: of a value, `Annotated[...]` as pydantic reads it; unique: no value occurs twice; empty: a number
    may be missing.
    """

    type: Any
    unique: bool = False
    empty: bool = False

    @cached_property
    def kind(self) -> type:
        """int, float or str."""
        kind: type = get_args(self.type)[0]
        return kind

    def faults(self, name: str, values: pd.Series) -> Iterator[Fault]:
        """Yield the wrong values of a column with the default index."""
        found = given = values.tolist()
        if self.unique:
            for row in values.index[values.duplicated(keep=False)].tolist():
                yield Fault(row, name, found[row], "unique")
        if self.kind is not str:
            given = [None if value == "" or value != value else value for value in given]
            whole = [_whole(value) for value in given]
            # beside 1.5 or an empty cell, pandas turns 4 into 4.0; a file with 4.0 alone has no integers
            if self.kind is int and any(not isinstance(value, int) for value in whole):
                given = whole
        # one text in a column of numbers makes texts of all of them
        are_texts = self.kind is not str and any(isinstance(value, str) for value in given)
        try:
            self._values.validate_python(given, strict=not are_texts)
        except ValidationError as error:
            for wrong in error.errors(include_url=False, include_context=False, include_input=False):
                row, reason = int(wrong["loc"][0]), wrong["msg"].removeprefix("Value error, ")
                yield Fault(row, name, found[row], f"valid: {reason}")

    @cached_property
    def _values(self) -> TypeAdapter[Any]:
        of_value: Any = self.type | None if self.empty else self.type
        return TypeAdapter(list[of_value])


@dataclass(frozen=True)
class Schema:
    """columns: by name; others: the pattern of the names of further columns, at least one, and their type.

    ordered: whether the columns have the order of `columns`; optional: there may be none of the others. A
    table has no other columns.
    """

    columns: Mapping[str, Column]
    others: tuple[str, Column] | None = None
    ordered: bool = True
    optional: bool = False

    def faults(self, frame: pd.DataFrame) -> list[Fault]:
        """Return what is wrong in a table, first in its header; [] if it is valid."""
        frame = frame.reset_index(drop=True)
        by_name = {str(name): self._column(str(name)) for name in frame}
        wrong = list(self._wrong_names([*by_name]))
        for name, column in by_name.items():
            wrong += column.faults(name, frame[name]) if column else ()
        return wrong

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a valid table in which every column of floats has this type, whatever numbers are in it."""
        floats = [name for name in frame if (column := self._column(str(name))) and column.kind is float]
        return frame.astype(dict.fromkeys(floats, float))

    def _column(self, name: str) -> Column | None:
        if name in self.columns:
            return self.columns[name]
        return self.others[1] if self.others and re.fullmatch(self.others[0], name) else None

    def _wrong_names(self, names: list[str]) -> Iterator[Fault]:
        for name in self.columns:
            if name not in names:
                yield Fault(None, "", name, "among the columns")
        if (
            self.others
            and not self.optional
            and not any(re.fullmatch(self.others[0], name) for name in names)
        ):
            yield Fault(None, "", names, f"a header with a column {self.others[0]}")
        for name in names:
            if self._column(name) is None:
                yield Fault(None, "", name, f"one of the columns {', '.join(self.columns)}")
        if self.ordered:
            known = [name for name in names if name in self.columns]
            for name, expected in zip(known, self.columns, strict=False):
                if name != expected:
                    yield Fault(None, "", name, f"in its place, which is that of {expected}")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
