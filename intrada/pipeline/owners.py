"""Which processes of all hosts run DVC in a project, for a checkout that several hosts share.

DVC's list of locked paths names a process by its PID, which says nothing on another host: there the process
does not exist, or it is another one. Each process of this project that runs DVC therefore locks (flock) a
file of its own, .dvc/tmp/owners/KIND.PID.START.HOST, and its entries in DVC's list end with that name. A
process has ended exactly if another one can lock its file. The kernel, or the server of a shared disk,
releases the lock also when the process is killed or its host is lost.
"""

from __future__ import annotations

import atexit
import os
import re
import socket
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO

import psutil

from intrada.core import locks
from intrada.core.errors import UserError

TEMPORARY = Path(".dvc/tmp")  # of a project: DVC's folder for temporary files
FOLDER = "owners"  # in it
DVC, SNAKEMAKE, JOB = "dvc", "snakemake", "job"  # dvc_command, the main process of Snakemake, one of its jobs
_NAME = re.compile(r"(?P<kind>[a-z]+)\.(?P<pid>\d+)\.(?P<start>\d+)\.(?P<host>[^\s\]]+)")
_MARK = re.compile(rf"\[(?P<owner>{_NAME.pattern})\]$")
_held: dict[Path, IO[str]] = {}


def register(folder: Path, kind: str) -> str:
    """Name this process as an owner of locks until it ends; return its name. folder: DVC's temporary files.

    The files of processes that have ended are removed. UserError if the disk does not support locks.
    """
    name = f"{kind}.{os.getpid()}.{_start()}.{socket.gethostname()}"
    path = folder.absolute() / FOLDER / name
    while path not in _held:
        if (handle := locks.try_acquire(path)) is None:
            time.sleep(0.01)  # another process is asking whether this one has ended
        elif path.exists() and path.stat().st_ino == os.fstat(handle.fileno()).st_ino:
            _held[path] = handle
        else:  # it was removed before it was locked
            handle.close()
    for other in path.parent.iterdir():
        if not locks.is_held(other):
            other.unlink(missing_ok=True)
    return name


def has_ended(folder: Path, command: str) -> bool | None:
    """Return whether the owner that `command`, of an entry of DVC's list, ends with has ended.

    None if it names no owner, as the entries of a plain `dvc`. folder: DVC's temporary files.
    """
    if (mark := _MARK.search(command)) is None:
        return None
    return not locks.is_held(folder / FOLDER / mark["owner"])


def elsewhere(folder: Path, kinds: Collection[str] = (DVC, SNAKEMAKE, JOB)) -> list[Path]:
    """Return the files of the owners of these kinds that live on other hosts."""
    return [
        path
        for path in sorted((folder / FOLDER).glob("*"))
        if (match := _NAME.fullmatch(path.name))
        and match["kind"] in kinds
        and match["host"] != socket.gethostname()
        and locks.is_held(path)
    ]


def refuse_elsewhere(folder: Path, kinds: Collection[str]) -> None:
    """Raise UserError while an owner of these kinds lives on another host.

    DVC would take that process for dead and remove its locks. `register` first: of two processes that start
    at once, at least one then sees the other.
    """
    if living := elsewhere(folder, kinds):
        raise UserError(
            folder / FOLDER,
            "; ".join(map(locks.holder, living)) + (" run" if living[1:] else " runs") + " in this checkout",
            "processes of one host, or the jobs of one snakemake on several hosts",
            "wait for it to end, or stop it (a job of SLURM: scancel); nothing was changed",
        )


def _start() -> int:
    """Return when this process was started, in 1/100 s; with it, a PID names one process of a host."""
    return round(psutil.Process().create_time() * 100)


@atexit.register
def _forget() -> None:
    """Remove the files of this process."""
    for path, handle in _held.items():
        if path.name.split(".")[1] == str(os.getpid()):  # not those that a forked process has copied
            path.unlink(missing_ok=True)
            handle.close()
