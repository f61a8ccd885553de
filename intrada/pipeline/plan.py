"""Decide which stages Snakemake runs: those that DVC calls stale, and those that the user forces.

Snakemake asks for the inputs of its rules when it has read its whole command line. Then, once, the token of
each stage that has to run gets a new content and is made newer than the stage's marker; all other tokens are
made older. The times of tokens and markers are small constants, so neither a clock nor the times of results
matter. The names of forced stages are in a file, which the jobs read, also those on another machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from intrada.core import children, locks, shared_disk
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.json_file import json_bytes
from intrada.core.plain_text import logger
from intrada.pipeline import bridge, code_hash, dvc_api, job, job_size, owners, run_monitor
from intrada.pipeline.ablation import code as ablation_code
from intrada.pipeline.bridge import Stage
from intrada.pipeline.job_size import Size

log = logger(__name__)

LOCK = bridge.STATE / "intrada.lock"
STAMP = Path("results/validate/params.json")
# The first stage of each project, and the function that returns the code hashes which it writes
FIRST: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
    bridge.MAIN: ("validate", code_hash.texts),
    bridge.ABLATION: ("code", ablation_code.texts),
}
OLD, MIDDLE, NEW = 0, 1, 2  # times of the token of a stage that is up to date, of markers, of other tokens


class Plan:
    """The plan of one Snakemake process. workflow: Snakemake's object; params: those in params.yaml."""

    def __init__(self, workflow: Any, folder: Path, stages: Sequence[Stage], params: Params) -> None:
        self._workflow = workflow
        self._folder = folder.resolve()
        self._stages = stages
        self._params = params
        self._is_made = not workflow.is_main_process  # a job's own process finds the plan of the main process
        self._lock: IO[str] | None = None
        self._sizes: dict[str, Size] = {}
        # Default: GPU jobs run one after another. With --resources gpu=N a job that asks for more gets N.
        self._has_default_gpus = "gpu" not in workflow.global_resources
        workflow.global_resources.setdefault("gpu", params.compute.devices)

    def made(self, wildcards: object) -> list[str]:
        """Make the plan if it is not made yet; an input function, so it returns files: none.

        A UserError ends the process with its message, without Snakemake's traceback.
        """
        if not self._is_made:
            try:
                self._make()
            except UserError as error:
                sys.exit(str(error))
            self._is_made = True
        return []

    def _make(self) -> None:
        workflow = self._workflow
        if workflow.touch:
            raise UserError(
                "snakemake --touch",
                "is of no use here, because DVC compares contents and not times",
                "a run, which computes what is stale",
                "snakemake without --touch; `dvc commit` accepts the present outputs as they are",
            )
        runs = workflow.executor_plugin is not None and not workflow.dryrun  # not for --dag, --summary, -n
        if runs and not workflow.local_exec:
            self._prepare_cluster()
        if runs:
            self._lock = hold_lock()
        elif (lock := locks.try_acquire(LOCK)) is None:
            log.info(f"{locks.holder(LOCK)} runs here; below is what it has not finished")
            return
        else:
            lock.close()
        forced = _forced(workflow.dag_settings, self._stages)
        projects = dict.fromkeys(stage.project for stage in self._stages)
        for project in projects:  # jobs of a snakemake that was killed, for example
            temporary = self._folder / project / owners.TEMPORARY
            owners.refuse_elsewhere(temporary, (owners.DVC, owners.JOB))
        stale = {rule for project in projects for rule in self._stale(project, runs)}
        if runs:
            job.begin(forced)
        _renew(self._stages, stale | forced)
        if runs:
            targets = [*map(os.path.relpath, workflow.dag_settings.targets)]
            rules = run_monitor.planned(self._stages, stale | forced, targets)
            if rules:
                run_monitor.start(rules, workflow.resource_settings.cores or 1, self._params)

    def resources(self, stage: Stage) -> dict[str, object]:
        """Return the resources of a rule: those of the stage, and for a cluster time and memory as functions.

        The functions return None in a run on this machine; Snakemake then leaves them out. The environment
        variables of sbatch choose partition and account.
        """

        def runtime(wildcards: object, attempt: int) -> int | None:
            return self._sizes[stage.rule].runtime * attempt if self._sizes else None

        def mem(wildcards: object, attempt: int) -> str | None:  # a function of mem_mb must return a number
            return f"{self._sizes[stage.rule].mem_mb * attempt}MB" if self._sizes else None

        def nodes(wildcards: object) -> int | None:  # else SLURM may spread the GPUs of a job over nodes
            return 1 if self._sizes else None

        given = {name: value for name, value in stage.resources.items() if name not in job_size.NAMES}
        chosen = {
            f"slurm_{name}": os.environ.get(f"SBATCH_{name.upper()}") for name in ("partition", "account")
        }
        requested = {"runtime": runtime, "mem": mem, "nodes": nodes}
        return {**given, **requested, **{name: value for name, value in chosen.items() if value}}

    def _prepare_cluster(self) -> None:
        """Let the scheduler count GPUs, find the sizes of the jobs, and keep the short ones on this node."""
        shared_disk.refuse_local_locks(self._folder)
        if self._has_default_gpus:
            self._workflow.global_resources["gpu"] = sys.maxsize
        self._sizes = job_size.sizes(self._stages, self._params)
        self._workflow.localrules(*(stage.rule for stage in self._stages if stage.takes_seconds))

    def _stale(self, project: str, runs: bool) -> set[str]:
        """Return the rules of the stale stages. runs: also write the code hashes, and run `validate`.

        All stages depend on `validate`, so as a job it would make Snakemake plan all of them.
        """
        among = [stage for stage in self._stages if stage.project == project]
        definitions = [stage.definition for stage in among]
        path = self._folder / project / "dvc.yaml"
        first, texts = FIRST[project]
        hashes = path.parent / code_hash.FOLDER
        with dvc_api.opened(path.parent) as repo:
            # First, because it is an error while a stage runs, and then the hashes must not change.
            listed = dvc_api.status(repo, path)
        stale = dvc_api.stale(listed, definitions)
        if first in stale or not code_hash.is_of_this_python(hashes):
            by_name = texts()
            contents = {hashes / name: text.encode() for name, text in by_name.items()}
            if project == bridge.MAIN:
                contents[self._folder / STAMP] = json_bytes(self._params.model_dump(mode="json"))
            if runs:
                is_new = code_hash.write(hashes, by_name)
                # Where DVC does not see the code, it calls `validate` stale each time; then this compares
                is_always = listed.get(first) == [dvc_api.ALWAYS]
                if project == bridge.MAIN and first in stale and (is_new or not is_always):
                    _validate()
            stale = dvc_api.stale(listed, definitions, contents)
        return {stage.rule for stage in among if stage.name in stale - {first}}


def hold_lock() -> IO[str]:
    """Lock this checkout against a second Snakemake. The kernel releases the lock when the process ends."""
    return locks.acquire(LOCK, "this checkout")


def use_own_python() -> None:
    """Put this process's Python first on PATH, for the stages, whose commands are `python -m intrada`."""
    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])


def refuse(settings: Any, words: Iterable[str]) -> None:
    """Raise UserError for what Snakemake would ignore, or do to its own files only.

    settings: Snakemake's, with --config and --configfile of the command line and of profiles; words: the
    arguments of the command line.
    """
    if any(word.startswith("--delete-all") for word in words):
        raise UserError(
            "snakemake --delete-all-output",
            "would delete no result: the rules have no outputs but files of Snakemake's own",
            "a run, which replaces what is stale",
            "`rm -r results runs` deletes results and checkpoints; `snakemake --forceall` computes all again",
        )
    if names := [f"--config {word}" for word in settings.config_args or ()]:
        found, fix = " ".join(names), f"dvc exp run -S {' -S '.join(settings.config_args)}"
    elif names := [f"--configfile {path}" for path in settings.configfiles or ()]:
        found = " ".join(names)
        fix = f"python -m intrada preset {Path(settings.configfiles[0]).stem}, then snakemake without it"
    else:
        return
    raise UserError(
        f"snakemake {found}",
        "is not used: all params are in params.yaml, which DVC reads too",
        "no --config and no --configfile, on the command line and in a profile",
        f"edit params.yaml; or: {fix}",
    )


def _validate() -> None:
    """Run `validate` by DVC, so that it records the code hashes and the validated params."""
    dvc = [sys.executable, "-m", "dvc"]
    command = [*dvc, "--wait-for-lock", "repro", "-q", "-s", FIRST[bridge.MAIN][0]]
    done = children.run(command, capture=True)
    if done.returncode != 0:
        raise UserError(
            "validate",
            "failed:",
            "a stage that ends without an error",
            "correct what it names, then start again",
            job.message(done.stdout).splitlines(),
        )


def _forced(settings: Any, stages: Sequence[Stage]) -> set[str]:
    """Return the rules of the stages that --forceall, --forcerun or --force names. settings: Snakemake's."""
    if settings.forceall:
        return {stage.rule for stage in stages}
    words = {*settings.forcerun, *(settings.targets if settings.forcetargets else ())}
    paths = {os.path.relpath(word) for word in words}
    named = {stage.rule for stage in stages if stage.rule in words}
    return named | {stage.rule for stage in stages if paths & {*stage.outs, str(stage.marker)}}


def _renew(stages: Sequence[Stage], planned: set[str]) -> None:
    """Write the tokens and markers of `stages` such that Snakemake plans the rules `planned`."""
    for folder in (bridge.TOKENS, bridge.MARKERS):
        folder.mkdir(parents=True, exist_ok=True)
    for stage in stages:
        if stage.rule in planned:
            # New content too: Snakemake regards a small file with the same content as unchanged.
            stage.token.write_text(str(time.time_ns()))
        else:
            stage.token.touch()
        stage.marker.touch()
        os.utime(stage.token, (0, NEW if stage.rule in planned else OLD))
        os.utime(stage.marker, (0, MIDDLE))
