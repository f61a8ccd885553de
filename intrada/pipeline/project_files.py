"""The files with which a project starts, one text for the checkout and for `intrada init`.

The wheel holds them in intrada/project/, where the build puts them; in a checkout they are where
pyproject.toml says. A project has no folder intrada/: its code is that of the installed package. So two of
the files differ there: `validate` in dvc.yaml, and the packages of Snakemake's conda environment.
"""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath

import intrada
from intrada.core import files
from intrada.core.errors import UserError

PACKAGE = Path(__file__).parents[1]
PRESETS = PurePosixPath("presets")
BUILT = "project"  # the folder of the files, in the installed package
TABLE = ("tool", "hatch", "build", "targets", "wheel", "force-include")  # of pyproject.toml
# DVC hashes a folder of the project, but not the installed package, which is outside
IN_CHECKOUT = "    deps: [params.yaml, intrada]\n"
IN_PROJECT = (
    "    deps: [params.yaml]\n"
    "    always_changed: true  # it compares the code of the installed package, which DVC does not see\n"
)
CONDA = PurePosixPath("workflow/envs/stage.yaml")


def contents() -> dict[PurePosixPath, bytes]:
    """Return the files of a new project, path -> content, without params.yaml and README.md.

    UserError if the package was installed without them, e.g. copied into a folder by hand.
    """
    found = {name: path.read_bytes() for name, path in sorted(_sources(PACKAGE).items())}
    definition = PurePosixPath("dvc.yaml")
    found[definition] = _in_project(found[definition].decode()).encode()
    found[CONDA] += f'      - "intrada=={intrada.__version__}"  # or the path of its wheel\n'.encode()
    return found


def presets() -> list[str]:
    """Return the names of the presets. UserError as from `contents`."""
    return sorted(name.stem for name in _sources(PACKAGE) if name.parent == PRESETS)


def _in_project(definition: str) -> str:
    """Return the text of dvc.yaml for a project without the folder intrada/."""
    assert definition.count(IN_CHECKOUT) == 1
    return definition.replace(IN_CHECKOUT, IN_PROJECT)


def _sources(package: Path) -> dict[PurePosixPath, Path]:
    """Return the files of a project, path in the project -> file. package: the folder of the package."""
    settings = package.parent / "pyproject.toml"
    if (package / BUILT).is_dir():
        tops = {"": package / BUILT}
    elif settings.is_file():
        table = tomllib.loads(settings.read_text(encoding="utf-8"))
        for key in TABLE:
            table = table[key]
        tops = {name: package.parent / name for name in table}
    else:
        raise UserError(
            package,
            "was installed without the files of a project",
            "a package that pip installed from a wheel, or a checkout",
            "python -m pip install --force-reinstall --no-deps, with the wheel",
        )
    return {
        PurePosixPath(name) / path.relative_to(top).as_posix(): path
        for name, top in tops.items()
        for path in (files.list_files(top) if top.is_dir() else [top])
    }
