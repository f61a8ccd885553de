"""From dvc.yaml to Snakemake's rules: dvc.yaml defines the stages, dvc.lock is their only state.

A rule runs `dvc repro -s STAGE` in the DVC project of the stage: the checkout, or the folder ablation/. Its
inputs are the stage's file dependencies, the file outputs of the stages before it, and a token: a file that
is newer than every output exactly while DVC calls the stage stale. Directories stay DVC's alone, since
Snakemake would put a file of its own into them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from intrada.core import locks
from intrada.pipeline import code_hash, dvc_api, dvc_recovery
from intrada.pipeline.ablation import code as ablation_code
from intrada.pipeline.dvc_api import Definition

TOKENS = Path(".snakemake/tokens")
LOCK = Path(".snakemake/intrada.lock")
MAIN, ABLATION = ".", "ablation"  # the folders of the two DVC projects
STAMP = Path("results/validate/params.json")
# The first stage of each project, which writes the hashes of the code, and what it writes
FIRST: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
    MAIN: ("validate", code_hash.texts),
    ABLATION: ("code", ablation_code.texts),
}


@dataclass(frozen=True)
class Stage:
    """One stage as a rule. project: MAIN or ABLATION; name: as DVC says it there (`preprocess@source`)."""

    project: str
    name: str
    inputs: list[str]
    outputs: list[str]
    upstream: list[str]
    threads: int
    resources: dict[str, int]

    @property
    def rule(self) -> str:
        """The name of the rule, without characters that Snakemake does not allow, such as @."""
        return _plain(self.project, self.name)

    @property
    def of_ablation(self) -> bool:
        """Whether it belongs to the ablation, and not to the main pipeline."""
        return self.project == ABLATION


def projects(words: Iterable[str]) -> list[str]:
    """The DVC projects whose stages Snakemake is asked for, given the words of its command line.

    The ablation's, of ten times as many stages, only where a word names one of its rules or files:
    Snakemake does not tell its targets before the rules are made.
    """
    asked = any(re.match(r"ablation($|_)|ablation/results/", word) for word in words)
    return [MAIN, *[ABLATION] * asked]


def stages(
    folder: Path, wanted: Sequence[str] = (MAIN,), *, fresh: bool, dry: bool, on_cpu: bool
) -> list[Stage]:
    """All stages of the DVC projects `wanted` in `folder`, upstream first.

    fresh: ask DVC which of them are stale and renew their tokens. Only the main process may, since a job
    that parses the Snakefile again would look at a half-finished state. Before it asks, what a killed
    DVC left behind is put right (`dvc_recovery`). dry: run nothing meanwhile. on_cpu: the params keep every
    stage on the CPU, so that none asks for a GPU. UserError while a `dvc repro` runs one of the stages.
    """
    top = folder.resolve()
    return [
        stage for project in wanted for stage in _stages_of(top, project, fresh=fresh, dry=dry, on_cpu=on_cpu)
    ]


def _stages_of(folder: Path, project: str, *, fresh: bool, dry: bool, on_cpu: bool) -> list[Stage]:
    path = folder / project / "dvc.yaml"
    if fresh:
        dvc_recovery.prepare(path.parent)
    with dvc_api.opened(path.parent) as repo:
        found = dvc_api.definitions(repo, path)
        stale = _stale(repo, path, found, project) if fresh else set()
    if fresh:
        first, _ = FIRST[project]
        if not dry and project == MAIN and first in stale:  # the ablation's is stale by definition
            _validate()
        if STAMP.exists():  # newer than what was made since, it would make Snakemake plan all stages anew
            os.utime(STAMP, (0, 0))
        _renew_tokens(project, found, stale - {first})
    outputs = {stage.name: _file_outputs(stage, folder) for stage in found}
    return [_stage(stage, outputs, folder, project, on_cpu) for stage in found]


def _stale(repo: Any, path: Path, found: list[Definition], project: str) -> set[str]:
    """The names of the stale stages, once the hashes of the code are up to date."""
    first, texts = FIRST[project]
    stale = dvc_api.stale(
        repo, path, found
    )  # before: an error while a stage runs, whose hashes must not change
    folder = path.parent / code_hash.FOLDER
    outdated = first in stale or not code_hash.is_of_this_python(folder)
    if outdated and code_hash.write(folder, texts()):
        stale = dvc_api.stale(repo, path, found)
    return stale


def _validate() -> None:
    """Let DVC record the hashes of the code, and that the params, which the Snakefile has read, are valid.

    Every stage follows `validate`, and as a job it would make Snakemake plan all of them anew.
    """
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "--wait-for-lock", "repro", "-q", "-s", FIRST[MAIN][0]], check=True)


def hold_lock() -> IO[str]:
    """Lock this checkout against a second Snakemake. The kernel releases the lock when the process ends."""
    return locks.acquire(LOCK, "this checkout")


def _stage(
    stage: Definition, outputs: dict[str, list[str]], folder: Path, project: str, on_cpu: bool
) -> Stage:
    """outputs: of every stage the file outputs, relative to `folder`."""
    before = [path for parent in stage.upstream for path in outputs[parent]]
    hashes = folder / project / code_hash.FOLDER  # of them, as of the params, the token says all
    inputs = [path for path in stage.deps if path.is_file() and not path.is_relative_to(hashes)]
    files = [path.relative_to(folder).as_posix() for path in inputs]
    if stage.name == FIRST[project][0]:  # done before the rules are made: see _validate
        files = []
    resources = {key: int(value) for key, value in stage.meta.get("resources", {}).items()}
    processes = resources.get("gpu", 1)  # one for each device, each with its threads
    if on_cpu:
        resources.pop("gpu", None)
    return Stage(
        project=project,
        name=stage.name,
        inputs=sorted({*files, *before}) + [str(_token(project, stage.name))],
        outputs=outputs[stage.name],
        upstream=stage.upstream,
        threads=int(stage.meta.get("threads", 1)) * processes,
        resources=resources,
    )


def _file_outputs(stage: Definition, folder: Path) -> list[str]:
    """Return the outputs that are files: those whose name has a suffix. They need not exist yet."""
    return [path.relative_to(folder).as_posix() for path in stage.outs if path.suffix]


def _token(project: str, name: str) -> Path:
    return TOKENS / _plain(project, name)


def _plain(project: str, name: str) -> str:
    """Return `preprocess_source` for `preprocess@source`, `ablation_collect` for the ablation's `collect`."""
    return re.sub(r"\W", "_", name if project == MAIN else f"{project}_{name}")


def _renew_tokens(project: str, found: list[Definition], stale: set[str]) -> None:
    TOKENS.mkdir(parents=True, exist_ok=True)
    for stage in found:
        token = _token(project, stage.name)
        if stage.name in stale:
            # new bytes as well: Snakemake takes a small file with the bytes it had for unchanged
            token.write_text(str(time.time_ns()))
        else:
            token.touch()
            os.utime(token, (0, 0))  # older than every output, so that Snakemake does not run the stage
