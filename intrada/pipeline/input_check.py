"""Before a stage reads an output of another run: is its content the one that the run wrote?

A disk may lose bytes, a power cut leaves empty files in DVC's cache, and DVC restores them without reading
them. Hashes of unchanged files come from the hash cache, so the check costs little.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from intrada.core.errors import UserError
from intrada.pipeline import locked_outs, records
from intrada.pipeline.cache_objects import REPAIR
from intrada.pipeline.expected import Expected


def check(paths: Iterable[Path], file_hash: Callable[[Path], str]) -> dict[str, str]:
    """Raise UserError if one of the `paths` is an output, or is in one, and its content is not recorded.

    file_hash: hash of one file. Returns path of the output -> id of the record of the run that wrote it, for
    the outputs among `paths`; those of other checkouts have no record here and are left out.
    """
    found, _ = records.scan()  # `verify` names the damaged ones
    expected = Expected(found, file_hash, project=_project())
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


def _project() -> Path:
    """Return the folder of the dvc.lock to compare with.

    Under DVC it may be above the working directory: the jobs of the ablation run in folders of their own.
    Started by hand, such a job may be newer than that dvc.lock.
    """
    project = locked_outs.project_of(Path.cwd()) if "DVC_STAGE" in os.environ else None
    return Path() if project in (None, Path.cwd()) else project
