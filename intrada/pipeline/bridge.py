"""Generate Snakemake's rules from dvc.yaml, which defines the stages; dvc.lock is their only state.

A rule runs `dvc repro -s STAGE` in the DVC project of the stage: the checkout, or the folder ablation/. Its
inputs are the stage's file dependencies, the file outputs of the upstream stages, and a token: a file that is
newer than every output exactly while DVC calls the stage stale. Directories are not outputs of a rule,
because Snakemake would write its own timestamp file into them.
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
from intrada.pipeline import code_hash, dvc_api, dvc_recovery, raw_data
from intrada.pipeline.ablation import code as ablation_code
from intrada.pipeline.dvc_api import Definition

TOKENS = Path(".snakemake/tokens")
LOCK = Path(".snakemake/intrada.lock")
MAIN, ABLATION = ".", "ablation"  # the folders of the two DVC projects
STAMP = Path("results/validate/params.json")
# The first stage of each project, and the function that returns the code hashes which it writes
FIRST: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
    MAIN: ("validate", code_hash.texts),
    ABLATION: ("code", ablation_code.texts),
}


@dataclass(frozen=True)
class Stage:
    """One stage as a rule. project: MAIN or ABLATION; name: DVC's name of the job (`preprocess@source`)."""

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
        """Whether the stage belongs to the ablation."""
        return self.project == ABLATION


def projects(words: Iterable[str]) -> list[str]:
    """Return the DVC projects whose rules Snakemake needs. words: the arguments of its command line.

    The ablation has ten times as many stages, so its rules are generated only if an argument names one of its
    rules or files. Snakemake does not tell its targets before the rules exist.
    """
    is_ablation = any(re.match(r"ablation($|_)|ablation/results/", word) for word in words)
    return [MAIN, *[ABLATION] * is_ablation]


def stages(
    folder: Path, wanted: Sequence[str] = (MAIN,), *, fresh: bool, dry: bool, on_cpu: bool
) -> list[Stage]:
    """Return all stages of the DVC projects `wanted` in `folder`, upstream first.

    fresh: ask DVC which stages are stale and renew their tokens. Only the main process does so, since a job
    that parses the Snakefile again would see the state of an unfinished run. The files that a killed DVC left
    are repaired before (`dvc_recovery`). dry: do not run `validate`. on_cpu: the params run every stage on
    the CPU, so no stage requests a GPU. Raises UserError while a `dvc repro` runs one of the stages, and for
    links in raw data that DVC does not follow.
    """
    top = folder.resolve()
    if fresh:
        raw_data.check_links_of(top)
    return [
        stage for project in wanted for stage in _stages_of(top, project, fresh=fresh, dry=dry, on_cpu=on_cpu)
    ]


def _stages_of(folder: Path, project: str, *, fresh: bool, dry: bool, on_cpu: bool) -> list[Stage]:
    path = folder / project / "dvc.yaml"
    if fresh:
        dvc_recovery.prepare(path.parent)
    with dvc_api.opened(path.parent) as repo:
        definitions = dvc_api.definitions(repo, path)
        stale = _stale(repo, path, definitions, project) if fresh else set()
    if fresh:
        first, _ = FIRST[project]
        if not dry and project == MAIN and first in stale:  # the ablation's is always stale
            _validate()
        if STAMP.exists():  # a newer stamp would make Snakemake plan all stages again
            os.utime(STAMP, (0, 0))
        _renew_tokens(project, definitions, stale - {first})
    outputs = {stage.name: _file_outputs(stage, folder) for stage in definitions}
    return [_stage(stage, outputs, folder, project, on_cpu) for stage in definitions]


def _stale(repo: Any, path: Path, definitions: list[Definition], project: str) -> set[str]:
    """Update the code hashes, and return the names of the stale stages."""
    first, texts = FIRST[project]
    # First, because it is an error while a stage runs, and then the hashes must not change.
    stale = dvc_api.stale(repo, path, definitions)
    folder = path.parent / code_hash.FOLDER
    outdated = first in stale or not code_hash.is_of_this_python(folder)
    if outdated and code_hash.write(folder, texts()):
        stale = dvc_api.stale(repo, path, definitions)
    return stale


def _validate() -> None:
    """Run `validate` by DVC, so that it records the code hashes and the validated params.

    All stages depend on `validate`. As a job it would make Snakemake plan all of them again.
    """
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "--wait-for-lock", "repro", "-q", "-s", FIRST[MAIN][0]], check=True)


def hold_lock() -> IO[str]:
    """Lock this checkout against a second Snakemake. The kernel releases the lock when the process ends."""
    return locks.acquire(LOCK, "this checkout")


def _stage(
    stage: Definition, outputs: dict[str, list[str]], folder: Path, project: str, on_cpu: bool
) -> Stage:
    """Return the rule of a stage. outputs: the file outputs of every stage, relative to `folder`."""
    before = [path for parent in stage.upstream for path in outputs[parent]]
    hashes = folder / project / code_hash.FOLDER  # the token covers code hashes and params
    inputs = [path for path in stage.deps if path.is_file() and not path.is_relative_to(hashes)]
    # weights of the user may be outside of the checkout: these keep their absolute path
    files = [
        (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix() for path in inputs
    ]
    if stage.name == FIRST[project][0]:  # it runs before the rules exist: see _validate
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


def _renew_tokens(project: str, definitions: list[Definition], stale: set[str]) -> None:
    TOKENS.mkdir(parents=True, exist_ok=True)
    for stage in definitions:
        token = _token(project, stage.name)
        if stage.name in stale:
            # New content too: Snakemake regards a small file with the same content as unchanged.
            token.write_text(str(time.time_ns()))
        else:
            token.touch()
            os.utime(token, (0, 0))  # older than every output, so that Snakemake does not run the stage
