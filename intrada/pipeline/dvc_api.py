"""All uses of DVC's undocumented Python interface. Nothing in DVC is patched.

Another version of DVC may lack a name, or read its files in another way. `check` refuses such a version at
the start and names the versions that the tests run with.
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

    name: DVC's name (`preprocess@source`); address: DVC's name from another working directory
    (`ablation/dvc.yaml:table`); deps: files and folders, without params files; outs: files and folders;
    upstream: names of the stages whose outs it reads; meta: its block `meta`. Paths are absolute.
    """

    name: str
    address: str
    deps: list[Path]
    outs: list[Path]
    upstream: list[str]
    meta: dict[str, Any]


def check() -> None:
    """Raise UserError if the installed DVC lacks a name that is used here."""
    for name in NAMES:
        _get(name)
    if WAIT not in inspect.signature(_get("dvc.repo:Repo")).parameters:
        raise _unsupported(f"dvc.repo.Repo has no argument {WAIT}")


@contextmanager
def opened(folder: Path) -> Iterator[Any]:
    """Yield DVC's Repo of the project of `folder`. Its commands wait for the lock of other commands.

    UserError if there is no project, or if the installed DVC is not supported.
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
    """Return the stages of the dvc.yaml at `path`, in its order, with templates resolved from its params."""
    with _reading():
        # repo.index would also search for .dvc files
        index = _get("dvc.repo.index:Index.from_file")(repo, str(path))
        return [_definition(stage, index.graph) for stage in index.stages]


def stale(repo: Any, path: Path, among: Sequence[Definition]) -> set[str]:
    """Return the names of the stages `among`, all in the dvc.yaml at `path`, that `dvc status` lists.

    UserError while another process runs one of the stages.
    """
    try:
        status = repo.status(targets=[str(path)])
    except _get("dvc.lock:LockError") as error:  # it names each process once for every path
        holders = ", ".join(sorted(set(re.findall(r"\(PID \d+\): .*", str(error)))))
        raise UserError(
            os.path.relpath(path),
            f"a stage is run by another process: {holders or error}",
            "one run at a time",
            "wait for it to end, or stop it; if another program has this PID now, as after a power cut,"
            " remove .dvc/tmp/rwlock beside it; nothing was changed",
        ) from None
    return {stage.name for stage in among if stage.address in status}


def readable(repo: Any, path: Path) -> bool:
    """Return whether DVC can read the dvc.lock at `path`."""
    # ValueError: a number of thousands of digits
    unreadable = (
        _get("dvc.utils.serialize:ParseError"),
        _get("dvc.utils.strictyaml:YAMLValidationError"),
        RecursionError,
        ValueError,
    )
    try:
        _get("dvc.dvcfile:Lockfile")(repo, str(path)).load()
    except unreadable:
        return False
    return True


def run_locks(repo: Any) -> tuple[Path, AbstractContextManager[object]]:
    """Return the file of the paths that running stages have locked, and the lock to hold while editing it."""
    folder = Path(repo.tmp_dir)
    guard = _get("dvc.lock:make_lock")(
        str(folder / _get("dvc.rwlock:RWLOCK_LOCK")),
        tmp_dir=str(folder),
        hardlink_lock=repo.config["core"].get("hardlink_lock", False),
    )
    return folder / _get("dvc.rwlock:RWLOCK_FILE"), guard


def run(words: list[str]) -> int:
    """Run `dvc WORDS` and return its exit status."""
    status: int = _get("dvc.cli:main")(words)
    return status


def _definition(stage: Any, graph: Any) -> Definition:
    params = _get("dvc.dependency.param:ParamsDependency")
    return Definition(
        stage.name,
        stage.addressing,
        # not params files: DVC compares the keys that a stage reads, Snakemake would compare the whole file
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
    """Report a missing attribute of DVC's objects as an unsupported version."""
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
