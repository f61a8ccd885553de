"""Generate Snakemake's rules from dvc.yaml, which defines the stages; dvc.lock is their only state.

A rule runs `dvc repro -s STAGE` in the DVC project of the stage: the checkout, or the folder ablation/. Its
output is a marker, an empty file that each job makes anew. Its inputs are the markers of the
upstream stages, so that the rules have the edges of the stages, and a token, which `plan` makes newer than
the marker exactly while the stage has to run. The files of a stage are no outputs of its rule: Snakemake
would remove them before a job and after a failed one, and compare their times, which a copy or a wrong clock
changes. Each of them is the name of a rule without a job, so that it can be a target.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from intrada.core.errors import UserError
from intrada.pipeline import cache_objects, dvc_api, dvc_recovery, owners, raw_data
from intrada.pipeline.dvc_api import Definition

STATE = Path(".snakemake")
TOKENS, MARKERS = STATE / "tokens", STATE / "done"
MAIN, ABLATION = ".", "ablation"  # the folders of the two DVC projects


@dataclass(frozen=True)
class Stage:
    """One stage as a rule. definition: what DVC knows of it; project: MAIN or ABLATION.

    outs: its files and folders, relative to the checkout; parents: the rules of the upstream stages; threads
    and resources: what one job takes; takes_seconds: so a cluster's login node runs it.
    """

    definition: Definition
    project: str
    outs: list[str]
    parents: list[str]
    threads: int
    resources: dict[str, int]
    takes_seconds: bool = False

    @property
    def name(self) -> str:
        """DVC's name of the stage, `preprocess@source`."""
        return self.definition.name

    @property
    def rule(self) -> str:
        """The name of the rule, without characters that Snakemake does not allow, such as @."""
        return _rule(self.project, self.name)

    @property
    def job(self) -> str:
        """The stage for `intrada.pipeline.job`: `./rank`, `ablation/collect`."""
        return f"{self.project}/{self.name}"

    @property
    def of_ablation(self) -> bool:
        """Whether the stage belongs to the ablation."""
        return self.project == ABLATION

    @property
    def token(self) -> Path:
        """The input that says whether the stage has to run."""
        return TOKENS / self.rule

    @property
    def marker(self) -> Path:
        """The output of the rule."""
        return MARKERS / self.rule

    @property
    def inputs(self) -> list[str]:
        """The token and the markers of the upstream stages."""
        return [str(self.token), *(str(MARKERS / parent) for parent in self.parents)]


def projects(words: Iterable[str]) -> list[str]:
    """Return the DVC projects whose rules Snakemake needs. words: the arguments of its command line.

    The ablation has ten times as many stages, so its rules are generated only if an argument names one of its
    rules or files. Snakemake does not tell its targets before the rules exist.
    """
    is_ablation = any(re.match(r"(\./)?ablation($|_|/)", word) for word in words)
    return [MAIN, *[ABLATION] * is_ablation]


def stages(
    folder: Path, wanted: Sequence[str] = (MAIN,), *, main: bool, dry: bool, on_cpu: bool
) -> list[Stage]:
    """Return all stages of the DVC projects `wanted` in `folder`, upstream first.

    main: whether this is the main process, which first repairs the files that a killed DVC left; dry: but not
    dvc.lock (`dvc_recovery`). on_cpu: the params run every stage on the CPU, so no stage requests a GPU.
    UserError for a project that `folder` lacks, for files that DVC cannot read and, in the main process, for
    links in raw data that it does not follow and for a cache of DVC with files of the wrong size.
    """
    top = folder.resolve()
    if main:
        raw_data.check_links_of(top)
    found = []
    for project in wanted:
        path = top / project / "dvc.yaml"
        if project == ABLATION and not path.is_file():
            raise UserError(
                path,
                "no such file: the ablation is not among the files that `intrada init` writes",
                "a checkout of the Git repository",
                "run it there; to compare params in this project: `dvc exp run -S rank.easy_fraction=0.5`",
            )
        if main:
            with dvc_api.opened(path.parent) as repo:
                owners.register(Path(repo.tmp_dir), owners.SNAKEMAKE)
            dvc_recovery.prepare(path.parent, dry=dry)
        with dvc_api.opened(path.parent) as repo:
            if main:
                cache_objects.refuse_wrong_sizes(repo)
            found += [_stage(one, top, project, on_cpu) for one in dvc_api.definitions(repo, path)]
    return found


def aliases(stages: Sequence[Stage], words: Iterable[str]) -> dict[str, Stage]:
    """Return target -> stage for each file and folder of the stages.

    words: the arguments of the command line; those that spell a path in another way (`./results/x`,
    `results/x/`, the absolute path) are targets too.
    """
    by_path = {path: stage for stage in stages for path in stage.outs if "/" in path}
    spelled = {word: os.path.relpath(word) for word in words if "/" in word}
    return by_path | {word: by_path[path] for word, path in spelled.items() if path in by_path}


def _stage(stage: Definition, folder: Path, project: str, on_cpu: bool) -> Stage:
    resources = {key: int(value) for key, value in stage.meta.get("resources", {}).items()}
    processes = resources.get("gpu", 1)  # one for each device, each with its threads
    if on_cpu:
        resources.pop("gpu", None)
    return Stage(
        definition=stage,
        project=project,
        outs=[Path(os.path.relpath(path, folder)).as_posix() for path in stage.outs],
        parents=[_rule(project, parent) for parent in stage.upstream],
        threads=int(stage.meta.get("threads", 1)) * processes,
        resources=resources,
        takes_seconds=bool(stage.meta.get("takes_seconds")),
    )


def _rule(project: str, name: str) -> str:
    """Return `preprocess_source` for `preprocess@source`, `ablation_collect` for the ablation's `collect`."""
    return re.sub(r"\W", "_", name if project == MAIN else f"{project}_{name}")
