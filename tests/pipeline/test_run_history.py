"""When and from which code the runs of a report were made."""

from __future__ import annotations

from typing import Any

from intrada.evaluation.reporting.summary import History
from intrada.pipeline.records import Record
from intrada.pipeline.run_history import history


def record(job: str, start: str, end: str, **changes: Any) -> Record:
    nothing: dict[str, Any] = {
        name: {} for name in ("params", "outputs", "inputs", "images", "raw", "sizes", "records")
    }
    own = {"seed": None, "id": "", "checksum": "", "device": None, "revision": None, "dirty": None}
    return Record(job=job, start=start, end=end, **nothing | own | changes)


def test_times_of_a_job_add_up_and_devices_and_commits_are_named_once() -> None:
    first = "2026-01-02T03:00:{}.000+00:00"
    runs = [
        record("train", first.format("10"), first.format("40"), device="cpu", revision="b", dirty=False),
        record("train", first.format("45"), first.format("50"), device="cpu", revision="a", dirty=True),
        record("rank", first.format("50"), first.format("51"), revision="b"),
    ]
    found = history(runs)
    assert found.seconds == {"train": 35, "rank": 1}
    assert (found.start, found.end) == (runs[0].start, runs[2].end)
    assert found.devices == ["cpu"] and found.commits == ["a", "b"] and found.is_dirty


def test_a_clock_that_was_set_back_gives_no_negative_time() -> None:
    run = record("rank", "2026-01-02T03:00:10.000+00:00", "2026-01-02T03:00:00.000+00:00")
    assert history([run]).seconds == {"rank": 0}
    assert history([]) == History()
