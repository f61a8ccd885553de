"""Progress of a whole run of the pipeline: which stage of how many, and the time left.

    logs/progress/run.json        the run: its jobs in their order, and who runs them
    logs/progress/<job>.json      how far a running job is
    logs/progress/estimate.json   the times of the trainings that `intrada estimate` or `preset` has measured

The time of a job that has still to run comes from measured speeds: from the job's last run, else from other
jobs of the same unit (workload.py), those of this run first. A training that runs tells its own speed. What
nothing has measured yet is left out, and the text says "at least".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from intrada.core import atomic
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.pipeline import execution_log, workload
from intrada.pipeline.workload import Work

FOLDER = Path("logs/progress")
RUN, ESTIMATE = FOLDER / "run.json", FOLDER / "estimate.json"
FORWARD = 3  # a training step has about three times the FLOPs of a forward pass
KNOWN = 0.02  # share of a training that must be done before its own speed counts


@dataclass(frozen=True)
class Run:
    """A run. start: seconds since 1970; driver: names the process that runs the jobs.

    jobs: in their order; upstream: job -> those whose outputs it reads; shares: job -> the share of the
    machine that it takes, since jobs that take less run beside each other.
    """

    start: float
    driver: str
    jobs: list[str]
    upstream: dict[str, list[str]]
    shares: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A job that has ended without an error: its name, start and end (seconds since 1970), and its work."""

    job: str
    start: float
    end: float
    work: Work | None


@dataclass(frozen=True)
class Left:
    """Estimated seconds to the end of a run. is_whole: whether all jobs that have to run are in it."""

    seconds: float
    is_whole: bool

    @property
    def text(self) -> str:
        """`about 12 min left`, or that it is not known yet."""
        if not self.seconds and not self.is_whole:
            return "time left not known yet"
        return f"{'about' if self.is_whole else 'at least'} {_words(self.seconds)} left"


def begin(run: Run) -> None:
    """Write that a run begins."""
    atomic.write_bytes(RUN, json.dumps(asdict(run)).encode())


def current() -> Run | None:
    """Return the last run that has begun; None if there is none or its file is damaged."""
    with suppress(OSError, ValueError, TypeError):
        return Run(**json.loads(RUN.read_text(encoding="utf-8")))
    return None


def ended() -> list[Ended]:
    """Return the jobs that the execution log says have ended without an error, the last one last."""
    found = []
    with suppress(OSError):
        for line in execution_log.LOG.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                start, end = (datetime.fromisoformat(entry[key]).timestamp() for key in ("start", "end"))
                if entry["outcome"] == "done":
                    work = Work(**entry["work"]) if "work" in entry else None
                    found.append(Ended(entry["stage"], start, end, work))
    return found


def keep_estimate(seconds: Mapping[str, float], params: Params) -> None:
    """Write the estimated seconds of trainings, which count until a run has measured one."""
    works = {job: asdict(workload.of_job(job, params)) for job in seconds}
    entries = {job: {"seconds": seconds[job], "work": works[job]} for job in seconds}
    with suppress(OSError, UserError):  # an estimate is of use without it
        atomic.write_bytes(ESTIMATE, json.dumps(entries).encode())


def _estimated() -> list[Ended]:
    """Return the trainings of the last estimate, as if they had ended long ago."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        entries = json.loads(ESTIMATE.read_text(encoding="utf-8"))
        return [Ended(job, 0.0, one["seconds"], Work(**one["work"])) for job, one in entries.items()]
    return []


def note(job: str, start: float, first: int, done: int, total: int) -> None:
    """Write how far a running job is. start: seconds since 1970; first: the steps that a resumed job had."""
    entry = {"start": start, "first": first, "done": done, "total": total}
    atomic.write_bytes(FOLDER / f"{job}.json", json.dumps(entry).encode())


@dataclass(frozen=True)
class Running:
    """A job that runs. start: seconds since 1970; share: of its steps that is done; own: since its start."""

    start: float
    share: float
    own: float


def running(jobs: Iterable[str], since: float) -> dict[str, Running]:
    """Return those of the jobs that have written how far they are since a time."""
    found = {}
    for job in jobs:
        with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            entry = json.loads((FOLDER / f"{job}.json").read_text(encoding="utf-8"))
            done, total = entry["done"], entry["total"]
            if entry["start"] >= since:
                found[job] = Running(entry["start"], done / total, (done - entry["first"]) / total)
    return found


def left(run: Run, remaining: Sequence[str], params: Params, now: float) -> Left:
    """Return the time that the `remaining` jobs take, those that run now among them."""
    past, started = [*_estimated(), *ended()], running(remaining, run.start)
    works = {job: workload.of_job(job, params) for job in remaining}
    speeds = _speeds(past)
    trainings = {
        job: one
        for job, one in started.items()
        if works[job].unit.endswith(workload.TRAIN) and one.own >= KNOWN
    }
    for job, one in trainings.items():
        speeds[works[job].unit] = works[job].amount * one.own / max(1e-3, now - one.start)
    _add_inference(speeds)
    last = {one.job: one for one in past}
    total, is_whole = 0.0, True
    for job in remaining:
        seconds = _seconds(works[job], last.get(job), speeds)
        if job in trainings:
            seconds = (now - started[job].start) * (1 - started[job].share) / started[job].own
        elif job in started and seconds is not None:
            seconds = max(0.0, seconds - (now - started[job].start))
        is_whole = is_whole and seconds is not None
        total += (seconds or 0.0) * run.shares.get(job, 1.0)
    waiting = sum(run.shares.get(job, 1.0) for job in remaining if job not in started)
    return Left(total + _pause(past, run.start) * waiting, is_whole)


def expected(jobs: Sequence[str], params: Params, assumed: Mapping[str, float]) -> dict[str, float | None]:
    """Return the expected seconds of jobs, None if nothing like a job has been measured or assumed.

    assumed: training -> seconds, until a run has measured one. `intrada estimate` measures the machine that
    it runs on, so its times count only if the params run every stage on the CPU.
    """
    works = {job: workload.of_job(job, params) for job in {*jobs, *assumed}}
    past = [Ended(job, 0.0, seconds, works[job]) for job, seconds in assumed.items()]
    past += [*(_estimated() if params.compute.device == "cpu" else []), *ended()]
    speeds = _speeds(past)
    _add_inference(speeds)
    last = {one.job: one for one in past}
    return {job: _seconds(works[job], last.get(job), speeds) for job in jobs}


def _add_inference(speeds: dict[str, float]) -> None:
    """Add the speed of predictions of each network with which only a training is known."""
    for unit, speed in [*speeds.items()]:
        if unit.endswith(workload.TRAIN):
            speeds.setdefault(unit.replace(workload.TRAIN, workload.INFER), FORWARD * speed)


def _speeds(past: Sequence[Ended]) -> dict[str, float]:
    """Return unit -> amount in a second, of the last job of each unit."""
    return {one.work.unit: one.work.amount / max(1e-3, one.end - one.start) for one in past if one.work}


def _seconds(work: Work, last: Ended | None, speeds: Mapping[str, float]) -> float | None:
    """Return the expected time of a job; None if nothing like it has been measured."""
    if last and last.work and last.work.unit == work.unit and last.work.amount:
        return (last.end - last.start) * work.amount / last.work.amount
    if work.unit == workload.OTHER:  # such stages have nothing in common
        return None
    return work.amount / speeds[work.unit] if speeds.get(work.unit) else None


def after(run: Run, job: str) -> list[str]:
    """Return the jobs that DVC, which runs one after another, has still to run, `job` itself first.

    These are what depends on a job of this run, and what has never run.
    """
    past = ended()
    ran = {one.job for one in past if one.end >= run.start}
    begun = {*ran, job}
    for name in run.jobs:  # upstream first
        if begun & {*run.upstream.get(name, [])}:
            begun.add(name)
    never = {*run.jobs} - {one.job for one in past} - {"validate"}
    remaining = (begun | never) - ran - _above(run, job) - {job}
    return [job, *(name for name in run.jobs if name in remaining)]


def _above(run: Run, job: str) -> set[str]:
    """Return the jobs from whose outputs a job is made, directly or through others."""
    found, pending = set[str](), [job]
    while pending:
        for name in run.upstream.get(pending.pop(), []):
            if name not in found:
                found.add(name)
                pending.append(name)
    return found


def _pause(past: Sequence[Ended], since: float) -> float:
    """Return the usual time between two jobs of a run, in which the driver works and a program starts."""
    here = [one for one in past if one.start >= since] or list(past[-20:])
    gaps = [later.start - earlier.end for earlier, later in pairwise(here)]
    return median([gap for gap in gaps if 0 <= gap < 60] or [0.0])


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
