"""Seconds of two ways to do the same, taken in turns so that both see the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """How long one call lasts."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Work, times: int) -> float:
    """The median of `times` calls."""
    return statistics.median(seconds(work) for _ in range(times))


def medians(ours: Work, baseline: Work, times: int) -> tuple[float, float]:
    """The medians of `times` calls of each, one of ours after one of the baseline's; warm up before."""
    pairs = [(seconds(ours), seconds(baseline)) for _ in range(times)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
