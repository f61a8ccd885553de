"""Repair of the state that a killed DVC leaves behind, before the next start.

DVC writes dvc.lock in place after each stage. A kill during the write leaves a partial file, which no command
of DVC can read. DVC also treats a zombie as alive, so a killed process keeps its locks on paths until its
parent reaps it. In containers whose PID 1 does not reap children, that is never.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intrada.core.atomic import alive, sweep, write_bytes
from intrada.core.errors import UserError, shortened
from intrada.core.file_errors import refuse_special
from intrada.core.plain_text import logger
from intrada.pipeline import dvc_api, owners

log = logger(__name__)

LOCK = "dvc.lock"
GOOD, BROKEN = "dvc.lock.good", "dvc.lock.broken"  # in .dvc/tmp


def prepare(folder: Path, *, dry: bool = False) -> None:
    """Make dvc.lock readable and remove the locks of ended processes, in the DVC project of `folder`.

    An unreadable dvc.lock is replaced by the copy from the last start; without a copy it is removed. DVC
    finds stages that ran since in its run cache. Each change is reported on stderr. dry: leave dvc.lock as it
    is. UserError for a merge conflict in dvc.lock and for an unreadable list of locked paths; if `dry`, also
    for an unreadable dvc.lock.
    """
    with dvc_api.opened(folder) as repo:
        with repo.lock:  # keeps other commands of DVC from writing dvc.lock
            _keep_or_restore(repo, Path(repo.root_dir, LOCK), Path(repo.tmp_dir), dry=dry)
        path, guard = dvc_api.run_locks(repo)
        with guard:
            _remove_ended(path)


@contextmanager
def undisturbed(folder: Path) -> Iterator[Any]:
    """Yield DVC's Repo of the project of `folder`; within the block no command of DVC starts there.

    It repairs what a killed DVC left, as `prepare`. UserError while a stage runs.
    """
    prepare(folder)
    with dvc_api.opened(folder) as repo, repo.lock:
        path, _ = dvc_api.run_locks(repo)
        held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if any(held.values()):
            raise UserError(
                path,
                "a stage is run by another process",
                "no dvc and no snakemake at work in this project",
                "wait for it to end, or stop it; nothing was changed",
            )
        yield repo


def _keep_or_restore(repo: Any, lock: Path, folder: Path, *, dry: bool) -> None:
    """Make `lock` readable, or remove it; keep a copy of a readable one in `folder`."""
    if not dry:
        sweep([lock.parent, folder])
    good, broken = folder / GOOD, folder / BROKEN
    if not lock.exists():
        return
    refuse_special(lock, "the file that DVC writes")
    content = lock.read_bytes()
    if good.exists() and good.read_bytes() == content:
        return
    # DVC can read some partial files, for example one that ends within a hash
    if content.endswith(b"\n") and dvc_api.readable(repo, lock):
        if not dry:
            write_bytes(good, content)
        return
    if re.search(rb"^<{7} ", content, re.MULTILINE):
        raise UserError(
            lock,
            "contains a merge conflict of Git",
            "one of the two versions",
            f"git checkout --ours {LOCK} (or --theirs), then the same command; DVC restores the outputs of"
            " the other version from its cache",
        )
    if dry:
        raise UserError(
            lock,
            "cannot be read, as after a kill while DVC wrote it",
            "a whole file",
            "the same command without --dry-run, which repairs it",
        )
    write_bytes(broken, content)
    if good.exists():
        write_bytes(lock, good.read_bytes())
    else:
        lock.unlink()
    state = "the copy of the last start is back" if good.exists() else "it is removed"
    _tell(f"{lock}: cannot be read, as after a kill while DVC wrote it; {state}; the old content is {broken}")


def _remove_ended(path: Path) -> None:
    """Remove ended processes from `path`: {"write": {path: owner}, "read": {path: [owner, ...]}}."""
    if not path.exists():
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        write, read = held.get("write", {}), held.get("read", {})
        holders = [*write.values(), *(owner for some in read.values() for owner in some)]
        ended = [owner for owner in holders if _has_ended(owner["pid"], owner["cmd"], path.parent)]
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise UserError(
            path,
            f"cannot be read ({shortened(repr(error), 200)}), as after a kill while DVC wrote it",
            "the paths that running stages have locked, as JSON",
            "when no dvc and no snakemake runs in this checkout, remove the file",
        ) from None
    if not ended:
        return
    write = {key: owner for key, owner in write.items() if owner not in ended}
    read = {key: [owner for owner in some if owner not in ended] for key, some in read.items()}
    left = {"write": write, "read": {key: some for key, some in read.items() if some}}
    write_bytes(path, json.dumps(left).encode())
    for process, command in {owner["pid"]: owner["cmd"] for owner in ended}.items():
        shown = command if str(command).isprintable() else repr(command)
        _tell(f"{path}: the locks of process {process} ({shown}), which has ended, are removed")


def _has_ended(pid: int, command: str, folder: Path) -> bool:
    """Return whether the owner of an entry has ended. folder: DVC's temporary files.

    An entry that names no owner is of a plain `dvc`. It counts as one of this host, but is left alone while a
    process of another host works here.
    """
    is_missing = not alive(pid)
    if (ended := owners.has_ended(folder, str(command))) is not None:
        return ended
    return is_missing and not owners.elsewhere(folder)


def _tell(line: str) -> None:
    log.warning(line)
