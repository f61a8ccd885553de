"""Before a stage runs, compare what it reads and what it would replace with what is recorded.

A disk may lose bytes, a power cut leaves empty files in DVC's cache, and DVC restores them without reading
them: the content of an input must be the one that its run wrote. Hashes of unchanged files come from the hash
cache, so the check costs little. A folder that no run wrote is the user's own, and is never replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from intrada.core.errors import UserError
from intrada.pipeline import execution_log, locked_outs, records
from intrada.pipeline.cache_objects import REPAIR
from intrada.pipeline.expected import Expected

OF_STAGES = (Path("results"), Path("data/preprocess"))


def recorded(file_hash: Callable[[Path], str]) -> Expected:
    """Return what is recorded of the present project's outputs. file_hash: hash of one file."""
    found, _ = records.scan()  # `verify` names the damaged ones
    return Expected(found, file_hash, project=_project())


def check(paths: Iterable[Path], expected: Expected) -> dict[str, str]:
    """Raise UserError if one of the `paths` is an output, or is in one, and its content is not recorded.

    Returns path of the output -> id of the record of the run that wrote it, for the outputs among `paths`;
    those of other checkouts have no record here and are left out.
    """
    ids: dict[str, str] = {}
    for path, names in expected.read_by(paths).items():
        if not path.exists():
            continue
        if record := expected.written_by(path, names):
            if record.id:
                ids[path.as_posix()] = record.id
        elif not expected.is_locked(path):
            raise UserError(
                path,
                expected.damage(path).found,
                "the content that its run wrote; a file of your own belongs under another path",
                f"`{REPAIR}`, which moves damaged files aside; then `dvc repro` or `snakemake`",
            )
    return ids


def keep_folders(outputs: Iterable[Path], expected: Expected) -> None:
    """Raise UserError if one of the `outputs` is a folder with files that no run wrote.

    A stage replaces an output folder whole. What lies in OF_STAGES belongs to the stages.
    """
    for path in outputs:
        own = any(path.absolute().is_relative_to(folder.absolute()) for folder in OF_STAGES)
        if not path.is_dir() or not any(path.iterdir()):
            continue
        if not (own or expected.is_output(path) or execution_log.has_output(path)):
            raise UserError(
                path,
                "a folder with files that no stage of this project wrote; all of it would be replaced",
                "a new or empty folder, or one that a stage wrote",
                "name another folder, or move this one away; nothing was written or removed",
            )


def _project() -> Path:
    """Return the folder of the dvc.lock to compare with.

    Under DVC it may be above the working directory: the jobs of the ablation run in folders of their own.
    Started by hand, such a job may be newer than that dvc.lock.
    """
    project = locked_outs.project_of(Path.cwd()) if "DVC_STAGE" in os.environ else None
    return Path() if project in (None, Path.cwd()) else project
