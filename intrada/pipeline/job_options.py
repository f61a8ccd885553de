"""The options of a stage that its command line leaves out, as dvc.yaml has them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intrada.core.errors import UserError
from intrada.pipeline import dvc_templates, kept_files


def words(stage: str, chosen: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """Return the command line of a job of `stage` in the dvc.yaml of the working directory, after its name.

    chosen: the options that select the job, such as {"--name": "inter"}; "" if one is not given, which for
    `--round` is the first round. values: those of the params file. UserError if there is no such job, or more
    than one.
    """
    jobs = [
        parts[4:]
        for command in dvc_templates.commands(Path(), values).values()
        if (parts := shlex.split(command))[:4] == ["python", "-m", "intrada", stage]
    ]
    found = [
        job for job in jobs if all(_value(job, flag) == value for flag, value in chosen.items() if value)
    ]
    if not chosen.get("--round"):
        found = [job for job in found if not _value(job, "--round")]
    if len(found) == 1:
        return found[0]
    given = "".join(f" {flag} {name}" for flag, name in chosen.items() if name)
    names = {f"{flag} {name}": None for job in jobs for flag in chosen if (name := _value(job, flag))}
    raise UserError(
        f"intrada {stage}{given}",
        f"dvc.yaml has {len(found) or 'no'} such jobs",
        f"one of: {', '.join(names)}" if names else "a stage that dvc.yaml has with these params",
        "choose one of them, or give all paths",
    )


def _value(job: Sequence[str], flag: str) -> str:
    """Return the value of an option in a command line; "" if it is not there."""
    return job[job.index(flag) + 1] if flag in job[:-1] else ""


def require_project(stage: str, missing: Sequence[str]) -> None:
    """Raise UserError if the working directory has no dvc.yaml. missing: the options to take from it."""
    if Path("dvc.yaml").is_file():
        return
    above = kept_files.project_of(Path())
    place = (
        f"cd {shlex.quote(os.fspath(above))}" if above else "cd to a project (`intrada init DIR` makes one)"
    )
    raise UserError(
        f"intrada {stage}",
        f"{', '.join(missing)} not given, and {Path.cwd()} has no dvc.yaml to take them from",
        "all paths, or the folder of a project as working directory",
        f"{place}, or give them; `intrada {stage} --help` explains each",
    )
