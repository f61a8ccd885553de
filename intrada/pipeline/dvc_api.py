"""All names of DVC's undocumented Python interface. Nothing in DVC is patched.

Another version of DVC may lack a name, or read its files in another way. `check` refuses such a version at
the start and names the versions that the tests run with.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from intrada.core.errors import UserError

SUPPORTED = ">=3.67,<3.68"  # as in pyproject.toml: the minor version that the tests run with
NAMES = (
    "dvc.api:DVCFileSystem",
    "dvc.cli:main",
    "dvc.dependency.param:ParamsDependency",
    "dvc.dvcfile:Lockfile.load",
    "dvc.exceptions:DvcException",
    "dvc.exceptions:NotDvcRepoError",
    "dvc.lock:LockError",
    "dvc.lock:make_lock",
    "dvc.parsing:DataResolver.resolve",
    "dvc.repo:Repo.status",
    "dvc.repo:Repo.tmp_dir",
    "dvc.repo.index:Index.from_file",
    "dvc.repo.index:Index.graph",
    "dvc.rwlock:RWLOCK_FILE",
    "dvc.rwlock:RWLOCK_LOCK",
    "dvc.scm:resolve_rev",
    "dvc.stage:PipelineStage.addressing",
    "dvc.stage.cache:_get_cache_hash",
    "dvc.utils.serialize:ParseError",
    "dvc.utils.serialize:load_yaml",
    "dvc.utils.strictyaml:YAMLValidationError",
    "dvc_data.index:DataIndexDirError",
)
ALWAYS = "always changed"  # why a stage with `always_changed: true` is stale, in `dvc status`
WAIT = "_wait_for_lock"  # the argument of Repo that the option --wait-for-lock sets


@dataclass(frozen=True)
class Definition:
    """One stage of a dvc.yaml, its templates resolved.

    name: DVC's name (`preprocess@source`); address: DVC's name from another working directory
    (`ablation/dvc.yaml:table`); deps: files and folders, without params files; outs: files and folders;
    upstream: names of the stages whose outs it reads; meta: its block `meta`; recorded: dep -> its MD5 in
    dvc.lock, None if it has none. Paths are absolute.
    """

    name: str
    address: str
    deps: list[Path]
    outs: list[Path]
    upstream: list[str]
    meta: dict[str, Any]
    recorded: dict[Path, str | None] = field(default_factory=dict)


def check() -> None:
    """Raise UserError if the installed DVC lacks a name that is used here."""
    for name in NAMES:
        get(name)
    if WAIT not in inspect.signature(get("dvc.repo:Repo")).parameters:
        raise _unsupported(f"dvc.repo.Repo has no argument {WAIT}")


@contextmanager
def opened(folder: Path) -> Iterator[Any]:
    """Yield DVC's Repo of the project of `folder`. Its commands wait for the lock of other commands.

    UserError if there is no project, or if the installed DVC is not supported.
    """
    check()
    check_name(folder.resolve())
    try:
        repo = get("dvc.repo:Repo")(str(folder), **{WAIT: True})
    except get("dvc.exceptions:NotDvcRepoError"):
        raise UserError(
            folder, "is not in a DVC project", "a folder with .dvc/, or one below it", "cd to the project"
        ) from None
    with repo:
        if missing := [name for name in ("config", "lock", "root_dir") if not hasattr(repo, name)]:
            raise _unsupported(f"dvc.repo.Repo has no {missing[0]}")
        yield repo


def definitions(repo: Any, path: Path) -> list[Definition]:
    """Return the stages of the dvc.yaml at `path`, in its order, with templates resolved from its params.

    UserError if DVC cannot read the file.
    """
    with reading(path):
        # repo.index would also search for .dvc files
        index = get("dvc.repo.index:Index.from_file")(repo, str(path))
        return [_definition(stage, index.graph) for stage in index.stages]


def status(repo: Any, path: Path) -> dict[str, list[Any]]:
    """Return what `dvc status` lists: the address of a stage in the dvc.yaml at `path` -> why it is stale.

    UserError while another process runs one of the stages, or if DVC cannot read one of its files.
    """
    try:
        with reading(path):
            listed: dict[str, list[Any]] = repo.status(targets=[str(path)])
            return listed
    except get("dvc.lock:LockError") as error:  # it names each process once for every path
        holders = ", ".join(sorted(set(re.findall(r"\(PID \d+\): .*", str(error)))))
        raise UserError(
            os.path.relpath(path),
            f"a stage is run by another process: {holders or error}",
            "one run at a time",
            "wait for it to end, or stop it; if another program has this PID now, as after a power cut,"
            " remove .dvc/tmp/rwlock beside it; nothing was changed",
        ) from None


def stale(
    listed: Mapping[str, Sequence[Any]],
    among: Sequence[Definition],
    contents: Mapping[Path, bytes] | None = None,
) -> set[str]:
    """Return the names of the stages `among` that are stale. listed: from `status`.

    contents: deps that are about to be written -> their new content, which counts in place of the old one.
    """
    return {stage.name for stage in among if _is_stale(stage, listed.get(stage.address, []), contents or {})}


def _is_stale(stage: Definition, entries: Sequence[Any], contents: Mapping[Path, bytes]) -> bool:
    """Return whether a stage is stale. entries: why, by `dvc status`: words, or kind -> path -> word."""
    for entry in entries:
        if not isinstance(entry, Mapping) or set(entry) != {"changed deps"}:
            return True
        if any(Path(path).absolute() not in contents for path in entry["changed deps"]):
            return True
    return any(
        stage.recorded[dep] != hashlib.md5(contents[dep], usedforsecurity=False).hexdigest()
        for dep in contents.keys() & stage.recorded.keys()
    )


def readable(repo: Any, path: Path) -> bool:
    """Return whether DVC can read the dvc.lock at `path`."""
    # ValueError: a number of thousands of digits
    unreadable = (
        get("dvc.utils.serialize:ParseError"),
        get("dvc.utils.strictyaml:YAMLValidationError"),
        RecursionError,
        ValueError,
    )
    try:
        get("dvc.dvcfile:Lockfile")(repo, str(path)).load()
    except unreadable:
        return False
    return True


def cache_folder(repo: Any) -> Path:
    """Return the folder of DVC's cache with the objects named by their MD5."""
    with reading(Path(repo.root_dir)):
        return Path(repo.cache.local.path)


def damaged_runs(repo: Any) -> list[Path]:
    """Return the entries of DVC's run cache whose content does not have the hash in their name.

    DVC removes some of them itself; at others it fails.
    """
    unreadable = (AttributeError, TypeError, ValueError, get("dvc.utils.serialize:ParseError"))
    load, digest = get("dvc.utils.serialize:load_yaml"), get("dvc.stage.cache:_get_cache_hash")
    with reading(Path(repo.root_dir)):
        entries = sorted(path for path in Path(repo.stage_cache.cache_dir).glob("*/*/*") if path.is_file())
    damaged = []
    for path in entries:
        try:
            is_intact = digest(load(str(path))) == path.name
        except FileNotFoundError:  # removed meanwhile
            continue
        except unreadable:
            is_intact = False
        if not is_intact:
            damaged.append(path)
    return damaged


def run_locks(repo: Any) -> tuple[Path, AbstractContextManager[object]]:
    """Return the file of the paths that running stages have locked, and the lock to hold while editing it."""
    folder = Path(repo.tmp_dir)
    guard = get("dvc.lock:make_lock")(
        str(folder / get("dvc.rwlock:RWLOCK_LOCK")),
        tmp_dir=str(folder),
        hardlink_lock=repo.config["core"].get("hardlink_lock", False),
    )
    return folder / get("dvc.rwlock:RWLOCK_FILE"), guard


def run(words: list[str], owner: str) -> int:
    """Run `dvc WORDS`; return its exit status. owner: the name of this process in `owners`."""
    before, sys.argv = sys.argv, ["dvc", *words, f"[{owner}]"]  # DVC copies it to its list of locked paths
    try:
        return int(get("dvc.cli:main")(words))
    finally:
        sys.argv = before


def _definition(stage: Any, graph: Any) -> Definition:
    params = get("dvc.dependency.param:ParamsDependency")
    # not params files: DVC compares the keys that a stage reads
    deps = {Path(dep.fs_path): dep for dep in stage.deps if dep.fs_path and not isinstance(dep, params)}
    return Definition(
        stage.name,
        stage.addressing,
        [*deps],
        [Path(out.fs_path) for out in stage.outs],
        [parent.name for parent in graph.successors(stage)],
        stage.meta or {},
        {path: dep.hash_info.value if dep.hash_info else None for path, dep in deps.items()},
    )


def check_name(folder: Path) -> None:
    """Raise UserError for a folder below which DVC fails with a message that does not name the cause."""
    if set("{}") & set(str(folder)):  # DVC formats its progress bars with the path
        raise UserError(
            folder, "has a brace in its path", "a path without braces: DVC fails there", "rename it"
        )
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise UserError(
            ascii(str(folder)),
            "is not ASCII, but the locale is",
            "a UTF-8 locale, or UTF-8 mode of Python",
            "export PYTHONUTF8=1, then the same command",
        ) from None


def get(name: str) -> Any:
    """Return what DVC calls `name`, one of NAMES. UserError if this version lacks it."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError) as error:
        raise _unsupported(str(error)) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Report what DVC cannot read as a UserError, and a missing attribute as an unsupported version.

    path: the dvc.yaml that is read. A LockError, which is no fault of a file, passes.
    """
    try:
        yield
    except (AttributeError, TypeError) as error:
        raise _unsupported(str(error)) from error
    except get("dvc.lock:LockError"):
        raise
    except FileNotFoundError as error:
        raise _missing(Path(error.filename or path)) from None
    except (get("dvc.exceptions:DvcException"), OSError) as error:
        causes = [error, *([error.__cause__] if error.__cause__ else [])]
        raise UserError(
            os.path.relpath(path),
            "DVC stops here: " + ": ".join(dict.fromkeys(str(cause) for cause in causes)),
            "files that DVC can read: dvc.yaml, dvc.lock, params.yaml and the inputs that they name",
            "fix what is named (after a merge: the lines between <<<<<<< and >>>>>>>), then the same command",
        ) from None


def _missing(path: Path) -> UserError:
    if path.is_symlink():
        found = f"is a link to {path.readlink()}, which does not exist"
        fix = "fix the link or remove it, then the same command"
        return UserError(path, found, "files, and links to files that exist", fix)
    return UserError(path, "no such file", "a file that exists", "restore it, then the same command")


def _unsupported(what: str) -> UserError:
    return UserError(
        f"DVC {version('dvc')}",
        f"is not supported by this version of IntraDA ({what})",
        f"dvc{SUPPORTED}",
        f"python -m pip install 'dvc{SUPPORTED}'",
    )
