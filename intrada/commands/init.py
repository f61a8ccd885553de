"""Write a new project: params.yaml, the presets, dvc.yaml, the Snakefile, the settings of DVC and Snakemake.

`snakemake` and `dvc` then run the pipeline there with the code of the installed package, without a checkout
of the Git repository. The folder may exist if it is empty; `.git` and `.venv` in it do not count.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import intrada
from intrada.core import atomic
from intrada.core.cli_types import did_you_mean
from intrada.core.config import edit_yaml, overrides, plain_yaml
from intrada.core.config import load as params_file
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Option, Settings
from intrada.pipeline import dvc_api, project_files

DEFAULT = "toycity"
DATA = "intrada data SOURCE TARGET                # to use your own folders of images"
UNCOUNTED = (".git", ".venv")  # a folder with these alone is empty
CONFIG_WITHOUT_GIT = PurePosixPath(".dvc/config.local"), b"[core]\n    no_scm = true\n"
README = """\
# {title}

Adapts a segmentation model with IntraDA {version}. `params.yaml` has all numbers; it began as {preset}.

    {data}
    intrada preset --list                     # all presets; `intrada preset NAME` takes one
    snakemake --cores all --resources gpu=1   # run all stages that are not up to date
    dvc repro                                 # the same, one stage after another

The results end in one page, `results/report/index.html`.
{git}
"""
GIT = "Commit everything that .gitignore leaves, `dvc.lock` too: it records which params made which results."
NO_GIT = "No Git repository was found here. After `git init`, delete `.dvc/config.local`, which tells DVC so."


def run(
    folder: Annotated[str, Argument("the folder of the project, new or empty", required=True)],
    preset: Annotated[str, Option("the preset to start with", "NAME", str, DEFAULT)],
    settings: Annotated[Sequence[str], Settings()] = (),
) -> None:
    """Write the files of a project to FOLDER. UserError, and nothing is written, if it is not empty."""
    path = Path(folder)
    _refuse_folder(path)
    contents = project_files.contents()
    _refuse_preset(preset)
    start = contents[project_files.PRESETS / f"{preset}.yaml"]
    contents[PurePosixPath("params.yaml")] = _changed(start, preset, settings)
    with atomic.writing(path):
        path.mkdir(parents=True, exist_ok=True)
        in_git = _is_in_git(path)
        if not in_git:
            contents |= [CONFIG_WITHOUT_GIT]
        contents[PurePosixPath("README.md")] = _readme(path, preset, in_git)
        for name, content in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    say(f"{path} is a project with the preset {preset}. Next:")
    if path.resolve() != Path.cwd():
        say(f"  cd {shlex.quote(str(path))}")
    say(f"  {DATA}", "  snakemake --cores all --resources gpu=1")


def _refuse_folder(path: Path) -> None:
    """Raise UserError unless `path` is a folder that is empty or can be made."""
    dvc_api.check_name(path.resolve())
    if os.path.lexists(path) and not path.is_dir():
        raise UserError(path, "is no folder", "a new or empty folder", "name another one")
    with atomic.writing(path):
        found = sorted(entry.name for entry in path.glob("*") if entry.name not in UNCOUNTED)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UserError(
            path,
            f"is not empty: it has {', '.join(found[:3])}{more}",
            f"a new or empty folder; {' and '.join(UNCOUNTED)} do not count",
            "name another folder; nothing was written",
        )


def _refuse_preset(name: str) -> None:
    """Raise UserError, with the nearest name, for an unknown preset."""
    known = project_files.presets()
    if name not in known:
        found = f"no preset {name!r}{did_you_mean(name, known)}"
        raise UserError("--preset", found, ", ".join(known), "choose one of these; nothing was written")


def _changed(start: bytes, preset: str, settings: Sequence[str]) -> bytes:
    """Return the text of a preset with the values of `--set`. UserError for a value that is not valid."""
    text = edit_yaml.edit(start.decode(), overrides.parse(settings))
    params_file.validate(f"the preset {preset} with --set", plain_yaml.parse(text))
    return text.encode()


def _is_in_git(folder: Path) -> bool:
    """Return whether Git works in `folder` and would track files there; DVC refuses an ignored dvc.yaml."""
    command = ["git", "check-ignore", "--quiet", "dvc.yaml"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True).returncode == 1
    except FileNotFoundError:  # Git is not installed
        return False


def _readme(path: Path, preset: str, in_git: bool) -> bytes:
    text = README.format(
        title=path.resolve().name,
        version=intrada.__version__,
        preset=preset,
        data=DATA,
        git=GIT if in_git else NO_GIT,
    )
    return text.encode()
