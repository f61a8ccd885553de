"""When, where and from which code the runs behind a report were made, for its first screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from intrada.evaluation.reporting.summary import History
from intrada.pipeline.records import Record


def history(runs: Sequence[Record]) -> History:
    """Return the history of the recorded runs; an empty one without records.

    A run that was killed and resumed counts from its last start. A record of another machine's clock may
    have any time.
    """
    if not runs:
        return History()
    seconds: dict[str, float] = {}
    for run in runs:
        took = datetime.fromisoformat(run.end) - datetime.fromisoformat(run.start)
        seconds[run.job] = seconds.get(run.job, 0.0) + max(0.0, took.total_seconds())
    return History(
        min(run.start for run in runs),
        max(run.end for run in runs),
        seconds,
        sorted({run.device for run in runs if run.device}),
        sorted({run.revision for run in runs if run.revision}),
        any(run.dirty for run in runs),
    )
