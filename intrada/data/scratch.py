"""Copies of the images and labels that a stage reads, on a disk of the node (`compute.scratch`).

PATH/intrada-UID belongs to the jobs of one user on one node. `copies/` has a file per content, with its hash
in the name, and for each job a list of its paths. users.lock is shared by all jobs; copying.lock is held by
the job that copies. The last job removes `copies/`, also what killed jobs have left there.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from errno import EDQUOT, ENOSPC
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from intrada.core import hashing, locks
from intrada.core.atomic import writing
from intrada.core.errors import UserError
from intrada.core.plain_text import logger

log = logger(__name__)
Content = TypeVar("Content")
VARIABLE = "INTRADA_SCRATCH_LIST"  # the list of this job's copies; worker processes inherit it
KEY = "compute.scratch"
_FULL = (ENOSPC, EDQUOT)
_POLL = 0.2  # seconds between two attempts to get the lock
_THREADS = 8


@contextmanager
def copied(scratch: str | None, hashes: Mapping[Path, str]) -> Iterator[None]:
    """Copy files to the folder `scratch`, from which `read` takes them within the block.

    scratch: `compute.scratch`, or None for no copies; environment variables in it are replaced. hashes: the
    `hashing.file_hash` of each file. A copy of another content is made anew. If the disk is full, a warning
    says so, and the files are read where they are. UserError if the folder cannot be used.
    """
    if not scratch or not hashes:
        yield
        return
    folder = _folder(scratch)
    with closing(locks.share(folder / "users.lock")) as user:
        before = os.environ.get(VARIABLE)
        try:
            if listed := _copies(folder, hashes):
                os.environ[VARIABLE] = str(listed)
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            if before is not None:
                os.environ[VARIABLE] = before
            if locks.is_alone(user):
                shutil.rmtree(folder / "copies", ignore_errors=True)


def read(reader: Callable[[Path], Content], path: Path) -> Content:
    """Return `reader(path)`, from the copy of `path` if there is one that can be read.

    Errors are those of `reader` for `path` itself.
    """
    if (listed := os.environ.get(VARIABLE)) and (copy := _listed(listed).get(path.as_posix())):
        with suppress(UserError):
            return reader(Path(copy))
    return reader(path)


@lru_cache(maxsize=1)
def _listed(path: str) -> dict[str, str]:
    """Return path -> copy of a job; none if a cleaner of temporary files has removed the list."""
    with suppress(OSError):
        listed: dict[str, str] = json.loads(Path(path).read_text(encoding="utf-8"))
        return listed
    return {}


def _folder(scratch: str) -> Path:
    """Return this user's folder below `scratch`, made if needed. UserError if it cannot be used safely."""
    top = Path(os.path.expandvars(scratch))
    allowed = f"an absolute path on a disk of the node, such as /tmp or $TMPDIR, or no {KEY}"
    if "$" in str(top) or not top.is_absolute():
        found = f"{scratch!r}, here {str(top)!r}: no absolute path, or a variable that is not set"
        raise UserError(KEY, found, allowed, f"change {KEY} in params.yaml")
    folder = top / f"intrada-{os.getuid()}"
    with writing(folder):
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            found = "is no folder of this user, who would read images from it"
            raise UserError(folder, found, allowed, f"remove it, or change {KEY}")
        (folder / "copies").mkdir(exist_ok=True)
    return folder


def _copies(folder: Path, hashes: Mapping[Path, str]) -> Path | None:
    """Copy what is missing in `folder` and return the list of the copies; None if the disk is full."""
    copies = folder / "copies"
    targets = {path: copies / f"{digest}{path.suffix}" for path, digest in hashes.items()}
    with closing(_lock(folder / "copying.lock")), writing(folder):
        try:
            made = _fill({target: path for path, target in targets.items()})
            listed = copies / f"{os.getpid()}-{time.time_ns()}.json"
            lines = {path.as_posix(): str(target) for path, target in targets.items() if target in made}
            listed.write_text(json.dumps(lines), encoding="utf-8")
        except OSError as error:
            if error.errno not in _FULL:
                raise
            log.warning(f"{KEY}: {folder} has no space for the images, which are read where they are")
            return None
    return listed


def _lock(path: Path) -> locks.Handle:
    """Return the handle of the lock; wait for the job that copies."""
    told = False
    while (handle := locks.try_acquire(path)) is None:
        if not told:
            log.info(f"{KEY}: waiting for {locks.holder(path)}, which copies images")
        told = True
        time.sleep(_POLL)
    return handle


def _fill(sources: Mapping[Path, Path]) -> set[Path]:
    """Make each copy that is missing or damaged, given copy -> original; return those that are sound.

    OSError with ENOSPC, before anything is copied, if the disk has too little space.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(_is_sound, sources)
        missing = [copy for copy, sound in zip(sources, found, strict=True) if not sound]
        for copy in missing:
            copy.unlink(missing_ok=True)
        needed = sum(sources[copy].stat().st_size for copy in missing if sources[copy].is_file())
        if missing and shutil.disk_usage(missing[0].parent).free < needed:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if missing and log.isEnabledFor(logging.INFO):
            log.info(f"{KEY}: copying {len(missing)} files, {needed / 1e9:.1f} GB")
        done = pool.map(_copy, (sources[copy] for copy in missing), missing)
        failed = {copy for copy, sound in zip(missing, done, strict=True) if not sound}
    return {*sources} - failed


def _is_sound(copy: Path) -> bool:
    """Return whether the content of a copy has the hash that its name says."""
    return copy.is_file() and hashing.file_hash(copy) == copy.stem


def _copy(source: Path, copy: Path) -> bool:
    """Copy a file. False, and no copy, if it cannot be read or has changed: the stage will report that."""
    part = copy.with_name(f".{copy.name}")
    try:
        with source.open("rb") as original, part.open("wb") as file:
            shutil.copyfileobj(original, file, 1 << 20)
        if hashing.file_hash(part) != copy.stem:
            return False
        part.replace(copy)
    except FileNotFoundError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True
