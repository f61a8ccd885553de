"""One stored value, or array, against the one found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Values much smaller than the rest of their array carry its rounding error: an error is relative to
# the value, or to this share of the array's largest one if that is more.
FLOOR = 1e-3


@dataclass(frozen=True)
class Comparison:
    """where: keys that lead to the value in the stored file. allowed: largest absolute error of each element.

    found, due and allowed have one shape; what is no number stands in object arrays and has to be equal.
    """

    where: tuple[str | int, ...]
    found: NDArray[Any]
    expected: NDArray[Any]
    allowed: NDArray[np.float64]
    scale: NDArray[np.float64] | None = None  # what a relative tolerance is relative to

    @cached_property
    def absolute(self) -> NDArray[np.float64]:
        """|found - due|; infinite where one is no number and they differ, or where the shapes do."""
        if self.found.shape != self.expected.shape:
            return np.array([np.inf])
        with np.errstate(invalid="ignore"):
            if self.expected.dtype == object:
                return np.where(self.found == self.expected, 0.0, np.inf)
            difference = np.abs(self.found.astype(np.float64) - self.expected.astype(np.float64))
        same = (self.found == self.expected) | (np.isnan(self.found) & np.isnan(self.expected))
        return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))

    @property
    def relative(self) -> NDArray[np.float64]:
        """The absolute error over `scale`; the absolute one itself where nothing is relative."""
        error = self.absolute
        return error if self.scale is None or error.shape != self.scale.shape else ratio(error, self.scale)

    @property
    def excess(self) -> float:
        """The largest error as a share of what is allowed: above 1 fails."""
        error = self.absolute
        allowed = self.allowed if error.shape == self.allowed.shape else np.zeros(error.shape)
        return float(ratio(error, allowed).max(initial=0.0))

    @property
    def passed(self) -> bool:
        return self.excess <= 1


def ratio(error: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """error / scale, where 0 / 0 is 0."""
    quotient: NDArray[np.float64] = np.divide(
        error, scale, out=np.where(error > 0, np.inf, 0.0), where=scale > 0
    )
    return quotient


def magnitude(expected: NDArray[Any], reach: Any = None) -> NDArray[np.float64]:
    """What errors of the array `due` are relative to; `reach`: the largest value, if it is known better."""
    finite = np.nan_to_num(np.abs(expected.astype(np.float64)))
    largest = finite.max(initial=0.0) if reach is None else np.abs(reach)
    return np.maximum(finite, FLOOR * largest)


def relative(
    where: Iterable[str | int], found: Any, expected: Any, tolerance: float, reach: Any = None
) -> Comparison:
    """Numbers that may differ by `tolerance` times their magnitude."""
    found, expected = np.asarray(found), np.asarray(expected)
    scale = magnitude(expected, reach)
    return Comparison(tuple(where), found, expected, tolerance * scale, scale)


def absolute(where: Iterable[str | int], found: Any, expected: Any, tolerance: Any) -> Comparison:
    """Numbers that may differ by `tolerance`, one value or one for each element; None counts as nan."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    return Comparison(
        tuple(where), found, expected, np.broadcast_to(np.asarray(tolerance, np.float64), expected.shape)
    )


def exact(where: Iterable[str | int], found: Any, expected: Any) -> Comparison:
    """Numbers that must be equal, or anything else that `==` can tell; a list is one value, see `items`."""
    found, expected = _array(found), _array(expected)
    return Comparison(tuple(where), found, expected, np.zeros(expected.shape))


def items(values: Sequence[Any]) -> NDArray[Any]:
    """The items of a list as an array of as many values."""
    boxes = np.empty(len(values), object)
    boxes[:] = values
    return boxes


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, (np.ndarray, int, float)):
        return np.asarray(value)
    box = np.empty((), object)
    box[()] = value
    return box
