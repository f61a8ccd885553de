"""Kill a pipeline at random moments and compare all it makes with an undisturbed run.

    python tests/support/chaos.py --kills 15 --driver cli --seed 0

One checkout runs undisturbed. Another, with the same params, is killed with SIGKILL, drivers and stages
at once, and started again with the same command until it is finished; then the next, until there were as
many kills as asked. Each kill has
a moment of the remaining run, chosen uniformly. Three of eight kills strike then, the others wait for a
training to iterate, for a write of a checkpoint, an output or a record to begin, or for half a second at
most after the end of a job. Exit
code 1 if any artifact differs.
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

if __name__ == "__main__":  # as a script, Python looks for modules beside it
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.support import chaos_phases
from tests.support import project as projects
from tests.support.chaos_phases import CHECKPOINT, ITERATION, OUTPUT, RECORD, Hit, State
from tests.support.definition import ROOT, jobs
from tests.support.project import DVC_AFTER_KILL, SNAKEMAKE, TRAINING, Project
from tests.support.tiny_project import ORDER

JOBS = (*ORDER, "report")
SCRIPT = "jobs.sh"
COMMANDS = {"cli": ("sh", SCRIPT), "dvc": (*DVC_AFTER_KILL, "repro"), "snakemake": SNAKEMAKE}
RANDOM, JOB_END = "random", "job end"
AIMS = (RANDOM, CHECKPOINT, RANDOM, OUTPUT, ITERATION, JOB_END, RANDOM, RECORD)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment; 1 if an artifact differs."""
    parser = argparse.ArgumentParser("chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--driver", choices=COMMANDS, default="cli")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="an empty or new folder; left out: a temporary one")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        top = options.folder or Path(temporary)
        command, calm = COMMANDS[options.driver], _checkout(top / "calm")
        start = time.monotonic()
        calm.run(*command)
        seconds = time.monotonic() - start
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        hits: list[Hit] = []
        wrong: list[str] = []
        runs, moments = 0, random.Random(options.seed)
        while len(hits) < options.kills:  # a run ends at last, however often it is killed
            chaotic = _checkout(top / f"chaotic{runs}")
            hits += attack(chaotic, command, options.kills - len(hits), moments, seconds, len(JOBS))
            wrong += [f"run {runs}: {name}" for name in differences(calm, chaotic)]
            runs += 1
        print(f"\n{options.driver}, seed {options.seed}: {len(hits)} kills in {runs} runs\n")
        print(chaos_phases.table(hits))
        print(f"\n{len(artifacts(calm))} artifacts of each run compared, {len(wrong)} differ")
        print(*wrong, sep="\n")
    return 1 if wrong else 0


def attack(
    project: Project,
    command: tuple[str, ...],
    kills: int,
    moments: random.Random,
    seconds: float,
    count: int,
    aims: Sequence[str] = AIMS,
) -> list[Hit]:
    """Run `command` to its end, killed up to `kills` times (fewer if it ends before); what was hit.

    seconds: what an undisturbed run takes; count: its jobs. aims: of the kills in turn.
    """
    hits: list[Hit] = []
    # the output goes to a file: nobody reads a pipe meanwhile
    quiet = ("sh", "-c", f'exec "$@" >> {SCRIPT}.log 2>&1', "sh", *command)
    while len(hits) < kills:
        left = seconds * (1 - len({line["stage"] for line in _done(project)}) / count)
        # the earliest of so many moments, each uniform over what is left
        delay = left * (1 - moments.random() ** (1 / (kills - len(hits))))
        aim = aims[len(hits) % len(aims)]
        since = State.of(project)
        with projects.started(project, *quiet) as process:
            if not _frozen(process, project, aim, delay, moments.uniform(0, 0.5), since):
                assert process.returncode == 0, (project.folder / f"{SCRIPT}.log").read_text()[-6000:]
                return hits
            hits.append(chaos_phases.kill(project, process.pid, since))
        print(
            f"kill {len(hits)} ({aim}): {hits[-1].phase}, {'+'.join(hits[-1].jobs) or 'driver'}", flush=True
        )
    project.run(*command)
    return hits


def _frozen(
    process: subprocess.Popen[str], project: Project, aim: str, delay: float, pause: float, since: State
) -> bool:
    """Freeze the run when what the kill is aimed at comes, `delay` seconds from now or later.

    pause: how long to wait behind the end of a job. False if the run has ended before.
    """

    def wait(expected: Callable[[], bool]) -> None:
        while process.poll() is None and not expected():
            time.sleep(0.002)

    wait(_after(delay))
    expected = _due(aim, project, since, process.pid)
    wait(expected)
    if aim == JOB_END:
        wait(_after(pause))
    wait(lambda: chaos_phases.freezes(process.pid, expected))
    return process.poll() is None


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _due(aim: str, project: Project, since: State, group: int) -> Callable[[], bool]:
    """Whether what a kill is aimed at has come."""
    if aim == RANDOM:
        return lambda: True
    if aim == JOB_END:
        now = State.of(project)
        return lambda: now.finished(project)
    if aim == ITERATION:
        return lambda: chaos_phases.iterates(project, group)
    return lambda: since.writes(project, aim)


def write_script(project: Project, names: Sequence[str] = JOBS) -> None:
    """The jobs of dvc.yaml as a script without a driver, which skips those that have ended."""
    known = jobs(project.params())
    lines = ["set -e", f"export PYTHONPATH={shlex.quote(str(ROOT))}", "mkdir -p .jobs"]
    for name in names:
        words = shlex.join(["python", "-m", "intrada", *known[name].argv])
        lines.append(f"[ -e .jobs/{name} ] || {{ {words}; touch .jobs/{name}; }}")
    (project.folder / SCRIPT).write_text("\n".join(lines) + "\n")


def artifacts(project: Project) -> dict[str, Any]:
    """The bytes of every file in data/ and results/, hidden ones too, and what DVC has recorded."""
    found: dict[str, Any] = {}
    for top in ("data", "results"):
        for path in sorted((project.folder / top).rglob("*")):
            if path.is_file() and path.name != ".gitignore":
                found[path.relative_to(project.folder).as_posix()] = path.read_bytes()
    lock = project.folder / "dvc.lock"
    recorded = plain_yaml.parse(lock.read_text())["stages"] if lock.exists() else {}
    for name, stage in recorded.items():
        found |= {f"dvc.lock: {name}: {out['path']}": out["md5"] for out in stage["outs"]}
    return found


def differences(calm: Project, chaotic: Project) -> list[str]:
    """The names of the artifacts that only one of them has, or that differ."""
    one, other = artifacts(calm), artifacts(chaotic)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


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
