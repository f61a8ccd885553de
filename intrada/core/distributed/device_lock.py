"""Machine-wide locks on devices, so that every process uses a device of its own.

Snakemake's `--resources gpu=2` runs two jobs at once but does not assign them devices. Each job takes the
first device whose lock is free. The lock files are in the temporary folder; all checkouts of a user share it.
"""

from __future__ import annotations

import os
import random
import stat
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from intrada.core import locks
from intrada.core.errors import UserError
from intrada.core.plain_text import logger

log = logger(__name__)

POLL = 0.5  # seconds between two attempts to lock


@dataclass(frozen=True)
class DeviceLock:
    """A device locked by this process, until `handle` is closed or the process ends.

    index: of the device in the list that `acquire` got. name: machine-wide.
    """

    index: int
    name: str
    handle: IO[str]


def acquire(devices: Sequence[str], count: int = 1) -> list[DeviceLock]:
    """Lock the first `count` free devices of `devices`, the machine-wide names of this process's devices.

    If fewer are free, it prints the holders on stderr and waits. It holds no lock while it waits, to avoid a
    deadlock with another process. For the same reason a process must call it once only. UserError if the
    folder of the locks does not belong to this user.
    """
    folder = _folder()
    paths = [folder / f"{name}.lock" for name in devices]
    if acquired := _try_acquire(devices, paths, count):
        return acquired
    holders = "; ".join(f"{name} by {locks.holder(path)}" for name, path in zip(devices, paths, strict=True))
    number = "a free device" if count == 1 else f"{count} free devices"
    log.info(f"waiting for {number}; last held: {holders}")
    while not (acquired := _try_acquire(devices, paths, count)):
        time.sleep(POLL * random.uniform(0.5, 1.5))  # random, so that two processes do not retry in step
    log.info(f"continuing with {', '.join(lock.name for lock in acquired)}")
    return acquired


def _try_acquire(devices: Sequence[str], paths: Sequence[Path], count: int) -> list[DeviceLock]:
    """Lock `count` devices, or none."""
    acquired: list[DeviceLock] = []
    for index, (name, path) in enumerate(zip(devices, paths, strict=True)):
        if len(acquired) < count and (handle := locks.try_acquire(path)) is not None:
            acquired.append(DeviceLock(index, name, handle))
    if len(acquired) < count:
        while acquired:
            acquired.pop().handle.close()
    return acquired


def _folder() -> Path:
    """Return the folder of the locks. Its parent is writable by all users, so its owner is checked."""
    folder = Path(tempfile.gettempdir(), f"intrada-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UserError(
            folder,
            f"belongs to user {status.st_uid}, mode {stat.filemode(status.st_mode)}",
            "a folder for the device locks that this user owns and nobody else may write to",
            "remove it, or set TMPDIR to a folder of your own, the same for all runs on this machine",
        )
    return folder
