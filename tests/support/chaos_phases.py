"""What a pipeline run is doing, seen from outside: its processes and the files it has left so far."""

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
# where temporary files may lie, and what a new one there means
PLACES = {
    CHECKPOINT: ("runs/*/*/.*.tmp*",),
    OUTPUT: tuple(f"{top}.*.tmp*" for top in ("results/*/", "results/*/*/", "data/*/", "data/*/*/")),
    RECORD: ("logs/provenance/*/.*.tmp*", "logs/provenance/*/*/.*.tmp*"),
}


@dataclass(frozen=True)
class State:
    """What of a checkout is older than the run that is watched."""

    temporaries: frozenset[Path]
    lines: int

    @classmethod
    def of(cls, project: Project) -> State:
        """The state now."""
        found = [path for kind in PLACES for path in temporaries(project, kind)]
        return cls(frozenset(found), _lines(project))

    def writes(self, project: Project, kind: str) -> bool:
        """Whether a write of that kind has begun since, and has not ended."""
        return bool(temporaries(project, kind) - self.temporaries)

    def finished(self, project: Project) -> bool:
        """Whether a job has ended since."""
        return _lines(project) > self.lines


@dataclass(frozen=True)
class Hit:
    """What a kill hit. jobs: the stages that were running."""

    jobs: tuple[str, ...]
    phase: str


def temporaries(project: Project, kind: str) -> set[Path]:
    """The temporary files and folders of that kind, of the living and the dead."""
    return {path for place in PLACES[kind] for path in project.folder.glob(place)}


def freezes(group: int, expected: Callable[[], bool]) -> bool:
    """Stop a process group where it stands, unless what is expected is over by then: a write takes no time."""
    os.killpg(group, signal.SIGSTOP)
    time.sleep(0.001)
    if expected():
        return True
    os.killpg(group, signal.SIGCONT)
    return False


def kill(project: Project, group: int, since: State) -> Hit:
    """See what a frozen process group is doing and kill it."""
    hit = _seen(project, group, since)
    os.killpg(group, signal.SIGKILL)
    while any(_members(group)):
        time.sleep(0.01)
    return hit


def _seen(project: Project, group: int, since: State) -> Hit:
    running = {process: argv for process, argv in _members(group) if argv[1:3] == ["-m", "intrada"]}
    jobs = tuple(sorted(_job(argv[3:]) for argv in running.values()))
    for kind in PLACES:
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
    """Whether a training of the group is in its loop: the curves' file opened there is named after its process."""
    return any(any(project.folder.glob(f"runs/*/*/*/*.{process}.*")) for process, _ in _members(group))


def _members(group: int) -> Iterator[tuple[int, list[str]]]:
    """Number and command line of each living process of the group."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                yield int(folder.name), (folder / "cmdline").read_text().split("\0")


def _job(argv: list[str]) -> str:
    """`preprocess@source` for `preprocess --domain source ...`."""
    stage, *options = argv
    given = dict(zip(options[::2], options[1::2], strict=False))
    return "@".join([stage, *(given[flag] for flag in ("--domain", "--name", "--round") if flag in given)])


def _lines(project: Project) -> int:
    log = project.folder / LOG
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _ended(project: Project, since: State) -> tuple[str, ...]:
    """The jobs that have ended well since, in their order."""
    lines = [json.loads(line) for line in _log(project)[since.lines :]]
    return tuple(line["stage"] for line in lines if line["outcome"] == "done")


def _log(project: Project) -> list[str]:
    log = project.folder / LOG
    return log.read_text().splitlines() if log.exists() else []


def _uncommitted(project: Project, since: State) -> bool:
    """Whether a job has ended since that DVC has not recorded; False where DVC records none."""
    lock = project.folder / "dvc.lock"
    if not (project.folder / ".dvc/tmp").exists():
        return False
    try:
        known = plain_yaml.parse(lock.read_text())["stages"] if lock.exists() else {}
    except (ValueError, TypeError, KeyError):  # killed while it was being written
        return True
    return not set(_ended(project, since)) <= set(known)


def table(hits: list[Hit]) -> str:
    """How many kills hit which phase, and which stages in it (Markdown)."""
    counts = Counter(hit.phase for hit in hits)
    rows = []
    for phase in (START, ITERATION, CHECKPOINT, COMPUTATION, OUTPUT, RECORD, EXIT, COMMIT, BETWEEN):
        jobs = Counter("+".join(hit.jobs) or "driver" for hit in hits if hit.phase == phase)
        rows.append(f"| {phase} | {counts[phase]} | {', '.join(f'{name} {n}' for name, n in jobs.items())} |")
    return "\n".join(["| phase | kills | stages |", "|---|---|---|", *rows])
