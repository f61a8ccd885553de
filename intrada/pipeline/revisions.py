"""Results of a Git revision or of a DVC experiment, from DVC's cache, without a checkout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from intrada.core.errors import UserError
from intrada.pipeline import dvc_api

FOLDERS = ("results/evaluate",)  # what a comparison reads
FILES = ("results/report/params.json", "results/validate/params.json")


def fetch(revision: str, project: Path, folder: Path) -> tuple[Path, Callable[[str], Path | None]]:
    """Copy the evaluations of `revision` to `folder`; return its results folder, and a function for more.

    revision: a commit, branch or tag of the Git repository of `project`, or the name of an experiment. The
    function copies the file at a path of the project, and returns None if the revision has none. UserError
    for an unknown revision, and if its results are not in DVC's cache.
    """
    with dvc_api.opened(project) as repo:
        try:
            commit = dvc_api.get("dvc.scm:resolve_rev")(repo.scm, revision)
        except dvc_api.get("dvc.exceptions:DvcException") as error:
            fix = "see `git log --oneline` and `dvc exp list`, or name a folder that exists"
            allowed = "a results folder, a Git revision or an experiment"
            raise UserError(revision, str(error), allowed, fix) from None
    files_of = dvc_api.get("dvc.api:DVCFileSystem")(str(project), rev=commit)
    try:
        for path in FOLDERS:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            files_of.get(path, str(folder / path), recursive=True)
    except (OSError, dvc_api.get("dvc_data.index:DataIndexDirError")) as error:  # of a path, of the cache
        fix = f"`dvc fetch --run-cache`, or check {revision} out and run the pipeline there"
        raise UserError(
            revision, f"no {path} ({error})", "a revision with dvc.lock whose results are in the cache", fix
        ) from error

    def file(path: str) -> Path | None:
        return _copied(files_of, path, folder / path)

    for path in FILES:
        file(path)
    return folder / "results", file


def _copied(files_of: Any, path: str, target: Path) -> Path | None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            files_of.get_file(path, str(target))
        except OSError:
            target.unlink(missing_ok=True)
            return None
    return target
