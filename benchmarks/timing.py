"""Time two implementations alternately, so that both run under the same load."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu_seconds(work: Work) -> float:
    """Return the processor seconds of one call, in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def median(work: Work, times: int) -> float:
    """Return the median seconds of `times` calls."""
    return statistics.median(seconds(work) for _ in range(times))


def medians(ours: Work, baseline: Work, times: int) -> tuple[float, float]:
    """Return the median seconds of `times` alternating calls of each; the caller warms them up."""
    pairs = [(seconds(ours), seconds(baseline)) for _ in range(times)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
