"""All uses of DVC's Python interface, which DVC does not document: each name is checked before its use.

A DVC of another version may lack a name, or read its files in another way. `check` refuses such a version
at the start, with the versions that the tests run with. Nothing in DVC is replaced.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from intrada.core.errors import UserError

SUPPORTED = ">=3.67,<3.68"  # as in pyproject.toml: the minor version that the tests run with
NAMES = (
    "dvc.cli:main",
    "dvc.dependency.param:ParamsDependency",
    "dvc.dvcfile:Lockfile.load",
    "dvc.exceptions:NotDvcRepoError",
    "dvc.lock:LockError",
    "dvc.lock:make_lock",
    "dvc.repo:Repo.status",
    "dvc.repo:Repo.tmp_dir",
    "dvc.repo.index:Index.from_file",
    "dvc.repo.index:Index.graph",
    "dvc.rwlock:RWLOCK_FILE",
    "dvc.rwlock:RWLOCK_LOCK",
    "dvc.stage:PipelineStage.addressing",
    "dvc.utils.serialize:ParseError",
    "dvc.utils.strictyaml:YAMLValidationError",
)
WAIT = "_wait_for_lock"  # the argument of Repo that the option --wait-for-lock sets


@dataclass(frozen=True)
class Definition:
    """One stage of a dvc.yaml, its templates resolved.

    name: as DVC says it (`preprocess@source`); address: as DVC says it where the working directory is another
    folder (`ablation/dvc.yaml:table`); deps: files and folders, without params files; outs: the same;
    upstream: names of the stages whose outs it reads; meta: its block `meta`. Paths are absolute.
    """

    name: str
    address: str
    deps: list[Path]
    outs: list[Path]
    upstream: list[str]
    meta: dict[str, Any]


def check() -> None:
    """UserError if the installed DVC lacks a name that is used here."""
    for name in NAMES:
        _get(name)
    if WAIT not in inspect.signature(_get("dvc.repo:Repo")).parameters:
        raise _unsupported(f"dvc.repo.Repo has no argument {WAIT}")


@contextmanager
def opened(folder: Path) -> Iterator[Any]:
    """The DVC project that `folder` is in, as DVC's Repo, whose commands wait for the lock of other commands.

    UserError if there is none, or if the installed DVC is not supported.
    """
    check()
    try:
        repo = _get("dvc.repo:Repo")(str(folder), **{WAIT: True})
    except _get("dvc.exceptions:NotDvcRepoError"):
        raise UserError(
            folder, "is not in a DVC project", "a folder with .dvc/, or one below it", "cd to the project"
        ) from None
    with repo:
        if missing := [name for name in ("config", "lock", "root_dir") if not hasattr(repo, name)]:
            raise _unsupported(f"dvc.repo.Repo has no {missing[0]}")
        yield repo


def definitions(repo: Any, path: Path) -> list[Definition]:
    """The stages of the dvc.yaml at `path`, in its order; templates are filled in from its params."""
    with _reading():
        # without the .dvc files that repo.index would look for
        index = _get("dvc.repo.index:Index.from_file")(repo, str(path))
        return [_definition(stage, index.graph) for stage in index.stages]


def stale(repo: Any, path: Path, among: Sequence[Definition]) -> set[str]:
    """The names of those stages `among`, all of the dvc.yaml at `path`, that `dvc status` lists.

    UserError while another process runs one of the stages.
    """
    try:
        found = repo.status(targets=[str(path)])
    except _get("dvc.lock:LockError") as error:  # it names the processes, each once for every path
        holders = ", ".join(sorted(set(re.findall(r"\(PID \d+\): .*", str(error)))))
        raise UserError(
            os.path.relpath(path),
            f"a stage is run by another process: {holders or error}",
            "one run at a time",
            "wait for it to end, or stop it; if the number is another program's by now, as after a power"
            " cut, remove .dvc/tmp/rwlock beside it; nothing was touched",
        ) from None
    return {stage.name for stage in among if stage.address in found}


def readable(repo: Any, path: Path) -> bool:
    """Whether DVC can read the dvc.lock at `path`."""
    unreadable = (_get("dvc.utils.serialize:ParseError"), _get("dvc.utils.strictyaml:YAMLValidationError"))
    try:
        _get("dvc.dvcfile:Lockfile")(repo, str(path)).load()
    except unreadable:
        return False
    return True


def run_locks(repo: Any) -> tuple[Path, AbstractContextManager[object]]:
    """The file with the paths that running stages have locked, and the lock to hold while it is edited."""
    folder = Path(repo.tmp_dir)
    guard = _get("dvc.lock:make_lock")(
        str(folder / _get("dvc.rwlock:RWLOCK_LOCK")),
        tmp_dir=str(folder),
        hardlink_lock=repo.config["core"].get("hardlink_lock", False),
    )
    return folder / _get("dvc.rwlock:RWLOCK_FILE"), guard


def run(words: list[str]) -> int:
    """Do what `dvc WORDS` does; its exit status."""
    status: int = _get("dvc.cli:main")(words)
    return status


def _definition(stage: Any, graph: Any) -> Definition:
    params = _get("dvc.dependency.param:ParamsDependency")
    return Definition(
        stage.name,
        stage.addressing,
        # of params, DVC knows which ones a stage reads; the file is newer than all outputs after any edit
        [Path(dep.fs_path) for dep in stage.deps if dep.fs_path and not isinstance(dep, params)],
        [Path(out.fs_path) for out in stage.outs],
        [parent.name for parent in graph.successors(stage)],
        stage.meta or {},
    )


def _get(name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError) as error:
        raise _unsupported(str(error)) from error


@contextmanager
def _reading() -> Iterator[None]:
    """Around what reads attributes that only an instance has."""
    try:
        yield
    except (AttributeError, TypeError) as error:
        raise _unsupported(str(error)) from error


def _unsupported(what: str) -> UserError:
    return UserError(
        f"DVC {version('dvc')}",
        f"is not supported by this version of IntraDA ({what})",
        f"dvc{SUPPORTED}",
        f"python -m pip install 'dvc{SUPPORTED}'",
    )
