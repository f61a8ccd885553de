"""Kill a pipeline at random times and compare its artifacts with those of an undisturbed run.

    python tests/support/chaos.py --kills 15 --driver cli --seed 0

One checkout runs undisturbed. Another one with the same params is killed: SIGKILL to the driver and its
stages. It is started again with the same command until it finishes. Further checkouts follow until the
number of kills is reached.

The time of a kill is uniform over the rest of the run. Three of eight kills happen at that time. The others
wait for a training iteration, for the start of a write (of a checkpoint, an output or a record), or up to
half a second after the end of a job. The exit code is 1 if an artifact differs.
"""

from __future__ import annotations

import argparse
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from intrada.core.config import plain_yaml

if __name__ == "__main__":  # for a script, Python puts its folder first on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.support import chaos_phases
from tests.support import project as projects
from tests.support.chaos_phases import CHECKPOINT, ITERATION, OUTPUT, RECORD, Hit, State
from tests.support.definition import ROOT, jobs
from tests.support.project import DVC_AFTER_KILL, SNAKEMAKE, TRAINING, Project
from tests.support.tiny_project import ORDER

JOBS = ("validate", *ORDER, "report")
SCRIPT = "jobs.sh"
COMMANDS = {"cli": ("sh", SCRIPT), "dvc": (*DVC_AFTER_KILL, "repro"), "snakemake": SNAKEMAKE}
RANDOM, JOB_END = "random", "job end"
AIMS = (RANDOM, CHECKPOINT, RANDOM, OUTPUT, ITERATION, JOB_END, RANDOM, RECORD)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment; return 1 if an artifact differs."""
    parser = argparse.ArgumentParser("chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--driver", choices=COMMANDS, default="cli")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="an empty or new folder; default: a temporary one")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        top = options.folder or Path(temporary)
        command, undisturbed = COMMANDS[options.driver], _checkout(top / "undisturbed")
        start = time.monotonic()
        undisturbed.run(*command)
        seconds = time.monotonic() - start
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        hits: list[Hit] = []
        different: list[str] = []
        runs, moments = 0, random.Random(options.seed)
        while len(hits) < options.kills:  # a run ends after any number of kills
            killed = _checkout(top / f"killed{runs}")
            hits += attack(killed, command, options.kills - len(hits), moments, seconds, len(JOBS))
            different += [f"run {runs}: {name}" for name in differences(undisturbed, killed)]
            runs += 1
        print(f"\n{options.driver}, seed {options.seed}: {len(hits)} kills in {runs} runs\n")
        print(chaos_phases.table(hits))
        print(f"\n{len(artifacts(undisturbed))} artifacts of each run compared, {len(different)} differ")
        print(*different, sep="\n")
    return 1 if different else 0


def attack(
    project: Project,
    command: tuple[str, ...],
    kills: int,
    moments: random.Random,
    seconds: float,
    count: int,
    aims: Sequence[str] = AIMS,
) -> list[Hit]:
    """Run `command` to its end, with up to `kills` kills, and return what they hit.

    seconds: the time of an undisturbed run; count: the number of its jobs; aims: used by the kills in turn.
    """
    hits: list[Hit] = []
    # to a file, since a full pipe that is not read would block the run
    logged = ("sh", "-c", f'exec "$@" >> {SCRIPT}.log 2>&1', "sh", *command)
    while len(hits) < kills:
        left = seconds * (1 - len({line["stage"] for line in _done(project)}) / count)
        # the earliest of the remaining kills, each uniform over the remaining time
        delay = left * (1 - moments.random() ** (1 / (kills - len(hits))))
        aim = aims[len(hits) % len(aims)]
        since = State.of(project)
        with projects.started(project, *logged) as process:
            if not _freeze(process, project, aim, delay, moments.uniform(0, 0.5), since):
                assert process.returncode == 0, (project.folder / f"{SCRIPT}.log").read_text()[-6000:]
                return hits
            hits.append(chaos_phases.kill(project, process.pid, since))
        print(
            f"kill {len(hits)} ({aim}): {hits[-1].phase}, {'+'.join(hits[-1].jobs) or 'driver'}", flush=True
        )
    project.run(*command)
    return hits


def _freeze(
    process: subprocess.Popen[str], project: Project, aim: str, delay: float, pause: float, since: State
) -> bool:
    """Stop the run (SIGSTOP) at the first event of `aim` after `delay` seconds; False if it ends before.

    pause: the seconds to wait after the end of a job.
    """

    def wait(condition: Callable[[], bool]) -> None:
        while process.poll() is None and not condition():
            time.sleep(0.002)

    wait(_after(delay))
    event = _event(aim, project, since, process.pid)
    wait(event)
    if aim == JOB_END:
        wait(_after(pause))
    wait(lambda: chaos_phases.freezes(process.pid, event))
    return process.poll() is None


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _event(aim: str, project: Project, since: State, group: int) -> Callable[[], bool]:
    """Return a function that tells whether the event of `aim` is happening."""
    if aim == RANDOM:
        return lambda: True
    if aim == JOB_END:
        now = State.of(project)
        return lambda: now.finished(project)
    if aim == ITERATION:
        return lambda: chaos_phases.iterates(project, group)
    return lambda: since.writes(project, aim)


def write_script(project: Project, names: Sequence[str] = JOBS) -> None:
    """Write a shell script of the jobs of dvc.yaml, which skips finished jobs; it needs no driver."""
    by_name = jobs(project.params())
    lines = ["set -e", f"export PYTHONPATH={shlex.quote(str(ROOT))}", "mkdir -p .jobs"]
    for name in names:
        command = shlex.join(["python", "-m", "intrada", *by_name[name].argv])
        lines.append(f"[ -e .jobs/{name} ] || {{ {command}; touch .jobs/{name}; }}")
    (project.folder / SCRIPT).write_text("\n".join(lines) + "\n")


def artifacts(project: Project) -> dict[str, Any]:
    """Return the bytes of every file in data/ and results/, with hidden ones, and the hashes of dvc.lock."""
    by_name: dict[str, Any] = {}
    for top in ("data", "results"):
        for path in sorted((project.folder / top).rglob("*")):
            if path.is_file() and path.name != ".gitignore":
                by_name[path.relative_to(project.folder).as_posix()] = path.read_bytes()
    lock = project.folder / "dvc.lock"
    recorded = plain_yaml.parse(lock.read_text())["stages"] if lock.exists() else {}
    for name, stage in recorded.items():
        by_name |= {f"dvc.lock: {name}: {out['path']}": out["md5"] for out in stage["outs"]}
    return by_name


def differences(first: Project, second: Project) -> list[str]:
    """Return the names of the artifacts that differ or that only one project has."""
    left, right = artifacts(first), artifacts(second)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def _checkout(folder: Path) -> Project:
    folder.mkdir(parents=True)
    project = projects.make(folder)
    changes: dict[str, Any] = {}
    for stage in TRAINING:
        changes |= {f"{stage}__iterations": 30, f"{stage}__max_iters": 30, f"{stage}__checkpoint_every": 5}
        changes |= {f"{stage}__snapshot_every": 10}
    project.set_params(**changes)
    write_script(project)
    return project


def _done(project: Project) -> list[dict[str, Any]]:
    return [line for line in project.executed() if line["outcome"] == "done"]


if __name__ == "__main__":
    sys.exit(main())
