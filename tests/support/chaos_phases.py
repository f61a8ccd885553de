"""Find out what a pipeline run is doing, from its processes and its files."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from intrada.core.config import plain_yaml
from tests.support.project import LOG, TRAINING, Project

CHECKPOINT, OUTPUT, RECORD = "checkpoint write", "output write", "record write"
ITERATION, START, COMPUTATION = "training iteration", "training start-up", "computation"
EXIT, COMMIT, BETWEEN = "stage exit", "DVC commit", "between stages"
# phase -> where its temporary files are
PATTERNS = {
    CHECKPOINT: ("runs/*/*/.*.tmp*",),
    OUTPUT: tuple(f"{top}.*.tmp*" for top in ("results/*/", "results/*/*/", "data/*/", "data/*/*/")),
    RECORD: ("logs/provenance/*/.*.tmp*", "logs/provenance/*/*/.*.tmp*"),
}


@dataclass(frozen=True)
class State:
    """The temporary files and the length of the execution log before the observed run."""

    temporaries: frozenset[Path]
    lines: int

    @classmethod
    def of(cls, project: Project) -> State:
        """Return the current state of a checkout."""
        paths = [path for kind in PATTERNS for path in temporaries(project, kind)]
        return cls(frozenset(paths), _lines(project))

    def writes(self, project: Project, kind: str) -> bool:
        """Return whether a write of that kind has started since this state and has not ended."""
        return bool(temporaries(project, kind) - self.temporaries)

    def finished(self, project: Project) -> bool:
        """Return whether a job has ended since this state."""
        return _lines(project) > self.lines


@dataclass(frozen=True)
class Hit:
    """What a kill hit: the running stages and the phase of the run."""

    jobs: tuple[str, ...]
    phase: str


def temporaries(project: Project, kind: str) -> set[Path]:
    """Return the temporary files and folders of that kind, of running and killed processes."""
    return {path for pattern in PATTERNS[kind] for path in project.folder.glob(pattern)}


def freezes(group: int, event: Callable[[], bool]) -> bool:
    """Stop a process group by SIGSTOP; continue it and return False if the event is over, as a short write."""
    os.killpg(group, signal.SIGSTOP)
    time.sleep(0.001)
    if event():
        return True
    os.killpg(group, signal.SIGCONT)
    return False


def kill(project: Project, group: int, since: State) -> Hit:
    """Determine what a stopped process group is doing and kill it."""
    hit = _observe(project, group, since)
    os.killpg(group, signal.SIGKILL)
    while any(_members(group)):
        time.sleep(0.01)
    return hit


def _observe(project: Project, group: int, since: State) -> Hit:
    running = {process: argv for process, argv in _members(group) if argv[1:3] == ["-m", "intrada"]}
    jobs = tuple(sorted(_job(argv[3:]) for argv in running.values()))
    for kind in PATTERNS:
        if since.writes(project, kind):
            return Hit(jobs, kind)
    if not jobs:
        return Hit(_ended(project, since)[-1:], COMMIT if _uncommitted(project, since) else BETWEEN)
    if set(jobs) <= set(_ended(project, since)):
        return Hit(jobs, EXIT)
    if not any(job.startswith(TRAINING) for job in jobs):
        return Hit(jobs, COMPUTATION)
    return Hit(jobs, ITERATION if iterates(project, group) else START)


def iterates(project: Project, group: int) -> bool:
    """Return whether a training of the group is in its loop, by its TensorBoard file, named after the process."""
    return any(any(project.folder.glob(f"runs/*/*/*/*.{process}.*")) for process, _ in _members(group))


def _members(group: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the id and the command line of each running process of the group."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # the process has ended
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                yield int(folder.name), (folder / "cmdline").read_text().split("\0")


def _job(argv: list[str]) -> str:
    """Return the name of the job: "preprocess@source" for `preprocess --domain source ...`."""
    stage, *options = argv
    values = dict(zip(options[::2], options[1::2], strict=False))
    return "@".join([stage, *(values[flag] for flag in ("--domain", "--name", "--round") if flag in values)])


def _lines(project: Project) -> int:
    log = project.folder / LOG
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _ended(project: Project, since: State) -> tuple[str, ...]:
    """Return the jobs that have succeeded since this state, in their order."""
    lines = [json.loads(line) for line in _log(project)[since.lines :]]
    return tuple(line["stage"] for line in lines if line["outcome"] == "done")


def _log(project: Project) -> list[str]:
    log = project.folder / LOG
    return log.read_text().splitlines() if log.exists() else []


def _uncommitted(project: Project, since: State) -> bool:
    """Return whether a finished job is not yet in dvc.lock; False without DVC."""
    lock = project.folder / "dvc.lock"
    if not (project.folder / ".dvc/tmp").exists():
        return False
    try:
        recorded = plain_yaml.parse(lock.read_text())["stages"] if lock.exists() else {}
    except (ValueError, TypeError, KeyError):  # killed while it was being written
        return True
    return not set(_ended(project, since)) <= set(recorded)


def table(hits: list[Hit]) -> str:
    """Return the number of kills by phase, with their stages, in Markdown."""
    counts = Counter(hit.phase for hit in hits)
    rows = []
    for phase in (START, ITERATION, CHECKPOINT, COMPUTATION, OUTPUT, RECORD, EXIT, COMMIT, BETWEEN):
        jobs = Counter("+".join(hit.jobs) or "driver" for hit in hits if hit.phase == phase)
        rows.append(f"| {phase} | {counts[phase]} | {', '.join(f'{name} {n}' for name, n in jobs.items())} |")
    return "\n".join(["| phase | kills | stages |", "|---|---|---|", *rows])
