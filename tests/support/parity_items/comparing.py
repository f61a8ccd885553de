"""Compare an actual value or array with the stored one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A value much smaller than the rest of its array has the rounding error of the large values. So an error is
# relative to the value, or to this fraction of the largest value of the array if that is more.
FLOOR = 1e-3


@dataclass(frozen=True)
class Comparison:
    """An actual value and the expected one.

    where: the keys of the value in the stored file. actual, expected and allowed have the same shape.
    allowed: the largest allowed absolute error of each element. Values that are not numbers are in object
    arrays and must be equal. scale: the denominator of the relative error, None if the error is absolute.
    """

    where: tuple[str | int, ...]
    actual: NDArray[Any]
    expected: NDArray[Any]
    allowed: NDArray[np.float64]
    scale: NDArray[np.float64] | None = None

    @cached_property
    def absolute(self) -> NDArray[np.float64]:
        """Return |actual - expected|; infinite for unequal values of which one is no number, and unequal shapes."""
        if self.actual.shape != self.expected.shape:
            return np.array([np.inf])
        with np.errstate(invalid="ignore"):
            if self.expected.dtype == object:
                return np.where(self.actual == self.expected, 0.0, np.inf)
            difference = np.abs(self.actual.astype(np.float64) - self.expected.astype(np.float64))
        same = (self.actual == self.expected) | (np.isnan(self.actual) & np.isnan(self.expected))
        return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))

    @property
    def relative(self) -> NDArray[np.float64]:
        """Return the absolute error over `scale`; the absolute error if there is no `scale`."""
        error = self.absolute
        return error if self.scale is None or error.shape != self.scale.shape else ratio(error, self.scale)

    @property
    def excess(self) -> float:
        """Return the largest ratio of error to allowed error; above 1 the comparison fails."""
        error = self.absolute
        allowed = self.allowed if error.shape == self.allowed.shape else np.zeros(error.shape)
        return float(ratio(error, allowed).max(initial=0.0))

    @property
    def passed(self) -> bool:
        return self.excess <= 1


def ratio(error: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return error / scale, with 0 / 0 = 0."""
    quotient: NDArray[np.float64] = np.divide(
        error, scale, out=np.where(error > 0, np.inf, 0.0), where=scale > 0
    )
    return quotient


def magnitude(expected: NDArray[Any], reach: Any = None) -> NDArray[np.float64]:
    """Return the scale of the relative errors of `expected`; reach: its largest value, if not its maximum."""
    finite = np.nan_to_num(np.abs(expected.astype(np.float64)))
    largest = finite.max(initial=0.0) if reach is None else np.abs(reach)
    return np.maximum(finite, FLOOR * largest)


def relative(
    where: Iterable[str | int], actual: Any, expected: Any, tolerance: float, reach: Any = None
) -> Comparison:
    """Compare numbers that may differ by `tolerance` times their magnitude."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    scale = magnitude(expected, reach)
    return Comparison(tuple(where), actual, expected, tolerance * scale, scale)


def absolute(where: Iterable[str | int], actual: Any, expected: Any, tolerance: Any) -> Comparison:
    """Compare numbers that may differ by `tolerance`, a number or an array; None counts as nan."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return Comparison(
        tuple(where), actual, expected, np.broadcast_to(np.asarray(tolerance, np.float64), expected.shape)
    )


def exact(where: Iterable[str | int], actual: Any, expected: Any) -> Comparison:
    """Compare values that must be equal; a list is one value, see `items`."""
    actual, expected = _array(actual), _array(expected)
    return Comparison(tuple(where), actual, expected, np.zeros(expected.shape))


def items(values: Sequence[Any]) -> NDArray[Any]:
    """Return the items of a list as an object array of the same length."""
    boxes = np.empty(len(values), object)
    boxes[:] = values
    return boxes


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, (np.ndarray, int, float)):
        return np.asarray(value)
    box = np.empty((), object)
    box[()] = value
    return box
