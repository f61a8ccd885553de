"""A device for each process that wants one: locked by name on the whole machine, waited for if none is free.

Snakemake's `--resources gpu=2` lets two jobs run at once and tells neither which device is its own. Each
takes the first whose lock is free: a file in the temporary folder, shared by all checkouts of one user.
"""

from __future__ import annotations

import os
import random
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from intrada.core import locks
from intrada.core.errors import UserError

POLL = 0.5  # seconds between two looks at the locks


@dataclass(frozen=True)
class Held:
    """A device that is this process's own until `handle` is closed or the process ends.

    index: its place in the devices asked for.
    """

    index: int
    name: str
    handle: IO[str]


def acquire(devices: Sequence[str], count: int = 1) -> list[Held]:
    """The first `count` free ones of `devices`, the machine-wide names of those that this process may use.

    Waits while fewer are free, with one line on stderr that says who holds the others, and holds none
    meanwhile: one that held a device while it waited for another could wait for ever. So a process must
    ask once. UserError if the folder of the locks is not this user's own.
    """
    folder = _folder()
    paths = [folder / f"{name}.lock" for name in devices]
    if held := _free(devices, paths, count):
        return held
    holders = "; ".join(f"{name} by {locks.holder(path)}" for name, path in zip(devices, paths, strict=True))
    wanted = "a free device, all are held" if count == 1 else f"{count} free devices, too few are, last held"
    print(f"waiting for {wanted}: {holders}", file=sys.stderr, flush=True)
    while not (held := _free(devices, paths, count)):
        time.sleep(POLL * random.uniform(0.5, 1.5))  # two that take one each must not do so in step
    print(f"going on with {', '.join(each.name for each in held)}", file=sys.stderr, flush=True)
    return held


def _free(devices: Sequence[str], paths: Sequence[Path], count: int) -> list[Held]:
    """`count` devices, or none."""
    held: list[Held] = []
    for index, (name, path) in enumerate(zip(devices, paths, strict=True)):
        if len(held) < count and (handle := locks.try_acquire(path)) is not None:
            held.append(Held(index, name, handle))
    if len(held) < count:
        while held:
            held.pop().handle.close()
    return held


def _folder() -> Path:
    """The folder of the locks: in a place that all may write to, so it must be our own."""
    folder = Path(tempfile.gettempdir(), f"intrada-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UserError(
            folder,
            f"belongs to user {found.st_uid}, mode {stat.filemode(found.st_mode)}",
            "a folder that this user owns and nobody else may write to, for the locks of the devices",
            "remove it, or set TMPDIR to a folder of your own, the same for all runs on this machine",
        )
    return folder
