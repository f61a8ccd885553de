"""Schemas of tables: the columns of a table, the type of each, and the rules for its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_INT = np.iinfo(np.int64)
_TYPES = {int: "an integer of 64 bits", float: "a number", str: "text"}


@dataclass(frozen=True)
class Rule:
    """What values must be. words: for messages, after "is not"; holds: values -> one bool for each."""

    words: str
    holds: Callable[[pd.Series], pd.Series]


class Fault(NamedTuple):
    """A wrong value: its row (0 is the first below the header; None: a whole column), its column, and why.

    words: what it is not; column: "" for the name of a column.
    """

    row: int | None
    column: str
    value: Any
    words: str

    def __str__(self) -> str:
        line = "" if self.row is None else f"line {self.row + 2}, "  # the header is line 1
        column = f"column {self.column}: " if self.column else ""
        return f"{line}{column}{self.value!r} is not {self.words}"


@dataclass(frozen=True)
class Column:
    """kind: int, float or str; unique: no value occurs twice; empty: a float may be missing (nan)."""

    kind: type
    rules: tuple[Rule, ...] = ()
    unique: bool = False
    empty: bool = False

    def faults(self, name: str, values: pd.Series) -> Iterator[Fault]:
        """Yield the wrong values of a column with the default index."""
        if self.unique:
            yield from _faults(name, values, values.duplicated(keep=False), "unique")
        wrong = _mistyped(values, self.kind)
        missing = values.isna() if self.kind is str else values.isna() | (values == "")
        if self.empty:
            wrong &= ~missing
        yield from _faults(name, values, wrong, _TYPES[self.kind])
        typed = values[~wrong & ~missing].astype(self.kind)
        for rule in self.rules:
            yield from _faults(name, typed, ~rule.holds(typed).astype(bool), rule.words)


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
        """Return what is wrong in a table, the names of its columns first; [] if it is valid."""
        frame = frame.reset_index(drop=True)
        by_name = {str(name): self._column(str(name)) for name in frame}
        return [
            *self._wrong_names([*by_name]),
            *(
                fault
                for name, column in by_name.items()
                if column is not None
                for fault in column.faults(name, frame[name])
            ),
        ]

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


def at_least(least: float) -> Rule:
    """Return the rule for numbers that are `least` or more."""
    return Rule(f"at least {least:g}", lambda values: values >= least)


def above(bound: float) -> Rule:
    """Return the rule for numbers that are more than `bound`."""
    return Rule(f"above {bound:g}", lambda values: values > bound)


def between(least: float, most: float) -> Rule:
    """Return the rule for numbers in `least`..`most`."""
    return Rule(f"in {least:g}..{most:g}", lambda values: values.between(least, most))


def one_of(allowed: Collection[Any]) -> Rule:
    """Return the rule for values that are among `allowed`."""
    return Rule(f"one of {', '.join(map(str, allowed))}", lambda values: values.isin(allowed))


def each(words: str, holds: Callable[[str], bool]) -> Rule:
    """Return the rule for texts for which `holds` is true."""
    return Rule(words, lambda values: values.map(holds))


def _faults(name: str, values: pd.Series, wrong: pd.Series, words: str) -> Iterator[Fault]:
    for row, value in values[wrong].items():
        yield Fault(int(str(row)), name, value, words)


def _mistyped(values: pd.Series, kind: type) -> pd.Series:
    """Return for each value whether it is not of a type. Missing numbers (nan) are of none."""
    if kind is str:
        return ~values.map(lambda value: isinstance(value, str)).astype(bool)
    if kind is float and pd.api.types.is_numeric_dtype(values):
        return values.isna()
    if pd.api.types.is_signed_integer_dtype(values) or pd.api.types.is_bool_dtype(values):
        return pd.Series(values.dtype == bool, values.index)
    wrong = ~values.map(_is_integer if kind is int else _is_number).astype(bool)
    # a file with 4.0 in it; 4.0 beside a missing number was 4
    is_whole = kind is int and pd.api.types.is_float_dtype(values) and not wrong.any()
    return wrong | is_whole


def _is_integer(value: object) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    try:
        return _INT.min <= int(value) <= _INT.max  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return False


def _is_number(value: object) -> bool:
    try:
        return float(value) == float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return False
