"""What a killed DVC leaves behind, put right before the next start.

DVC writes dvc.lock in place, after each stage. A kill meanwhile leaves a part of the file, which no command
of DVC reads. A process that was killed also keeps its entries in DVC's list of locked paths for as long as
nobody has waited for it, which process 1 of many containers never does.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from intrada.core.atomic import alive, sweep, write_bytes
from intrada.core.errors import UserError
from intrada.pipeline import dvc_api

LOCK = "dvc.lock"
GOOD, BROKEN = "dvc.lock.good", "dvc.lock.broken"  # in .dvc/tmp


def prepare(folder: Path) -> None:
    """Make dvc.lock readable and remove the locks of ended processes, in the DVC project that `folder` is in.

    An unreadable dvc.lock is replaced by the copy of the last start; without a copy it is removed. Stages
    that ran since are then found in DVC's run cache. Each change is told on stderr. UserError for a merge
    conflict in dvc.lock, and for a list of locked paths that cannot be read.
    """
    with dvc_api.opened(folder) as repo:
        with repo.lock:  # no command of DVC writes dvc.lock meanwhile
            _keep_or_restore(repo, Path(repo.root_dir, LOCK), Path(repo.tmp_dir))
        path, guard = dvc_api.run_locks(repo)
        with guard:
            _remove_ended(path)


def _keep_or_restore(repo: Any, lock: Path, folder: Path) -> None:
    """`lock` is readable afterwards, or absent, and `folder` has a copy of it."""
    sweep([lock.parent, folder])
    good, broken = folder / GOOD, folder / BROKEN
    if not lock.exists():
        return
    content = lock.read_bytes()
    if good.exists() and good.read_bytes() == content:
        return
    # DVC can read some parts of a file, with the first half of a hash, say
    if content.endswith(b"\n") and dvc_api.readable(repo, lock):
        write_bytes(good, content)
        return
    if re.search(rb"^<{7} ", content, re.MULTILINE):
        raise UserError(
            lock,
            "holds a merge conflict of Git",
            "one of the two versions",
            f"git checkout --ours {LOCK} (or --theirs), then the same command; what the other one records"
            " comes from DVC's cache",
        )
    write_bytes(broken, content)
    if good.exists():
        write_bytes(lock, good.read_bytes())
    else:
        lock.unlink()
    state = "the copy of the last start is back" if good.exists() else "it is removed"
    _tell(f"{lock}: cannot be read, as after a kill while DVC wrote it; {state}; the old content is {broken}")


def _remove_ended(path: Path) -> None:
    """`path` lists the living processes alone: {"write": {path: owner}, "read": {path: [owner, ...]}}."""
    if not path.exists():
        return
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        write, read = held.get("write", {}), held.get("read", {})
        owners = [*write.values(), *(owner for some in read.values() for owner in some)]
        ended = {owner["pid"]: owner["cmd"] for owner in owners if not alive(owner["pid"])}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            path,
            f"cannot be read ({error!r}), as after a kill while DVC wrote it",
            "the paths that running stages have locked, as JSON",
            "when no dvc and no snakemake runs in this checkout, remove the file",
        ) from None
    if not ended:
        return
    write = {key: owner for key, owner in write.items() if owner["pid"] not in ended}
    read = {key: [owner for owner in some if owner["pid"] not in ended] for key, some in read.items()}
    left = {"write": write, "read": {key: some for key, some in read.items() if some}}
    write_bytes(path, json.dumps(left).encode())
    for process, command in ended.items():
        _tell(f"{path}: the locks of process {process} ({command}), which has ended, are removed")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
