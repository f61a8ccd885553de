"""What no output may replace besides the inputs of its call: raw data, DVC's cache, the project's files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as InvalidConfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intrada.core.config import plain_yaml
from intrada.core.stage import Out

PACKAGE = Path(__file__).parents[1]
RAW, TOY = Path("data/raw"), "toycity"
RULES = Path("workflow/rules/stages.smk")  # in a checkout, and in what `intrada init` writes
OF_DATA = ("preprocess", "sources", "target_labelled")  # the blocks of the params that name raw data
OF_DVC = (".dvc", ".git", "ablation.yaml", "dvc.lock", "dvc.yaml", "params.yaml")
# In the project's folder: what Git tracks, and what the runs need in addition to their outputs
OWN = (
    *OF_DVC, ".ci", ".dockerignore", ".dvcignore", ".editorconfig", ".github", ".gitignore",
    ".pre-commit-config.yaml", ".snakemake", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Dockerfile",
    "LICENSE", "Makefile", "README.md", "Snakefile", "ablation/.dvc", "ablation/ablation.yaml",
    "ablation/dvc.lock", "ablation/dvc.yaml", "benchmarks", "constraints.txt", "data/README.md", "docs",
    "intrada", "logs", "mkdocs.yml", "plots", "presets", "profiles", "pyproject.toml", "runs", "tests",
    "weights/pretrained", "weights/random", "workflow",
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """A file or folder that no output may be, contain or lie in.

    what: its role in the message; links: whether the links inside a folder are followed.
    """

    path: Path
    what: str
    links: bool = False


def of_projects(output: Path, mark: Out) -> Iterator[Kept]:
    """Yield the files, raw data and caches of the projects around `output` and the working directory."""
    yield Kept(PACKAGE, "the program itself")
    for folder in dict.fromkeys((project_of(output), project_of(Path()))):
        yield from (Kept(path, "DVC's cache or remote") for path in caches(folder))
        if folder is None:
            continue
        is_own = (folder / PACKAGE.name).is_dir() or (folder / RULES).is_file()
        names: tuple[str, ...] = OWN if is_own else OF_DVC
        if mark.replaces and Path(os.path.realpath(output)) == folder / mark.replaces:
            names = tuple(name for name in names if not mark.replaces.startswith(f"{name}/"))
        yield from (Kept(folder / name, "a file of the project") for name in names)
        raw = [path for path in (folder / RAW).glob("*") if path.name != TOY]  # each may be a link
        yield from (Kept(path, "raw data") for path in ([] if mark.raw else [folder / RAW]) + raw)
    for part in (output.absolute(), Path(os.path.realpath(output))):
        for above in (part, *part.parents):
            if above.name == ".git":
                yield Kept(above, "a file of Git")


def project_of(path: Path) -> Path | None:
    """Return the nearest folder at or above `path` with a pipeline of DVC's."""
    real = Path(os.path.realpath(path))
    # Path.is_file raises an error for a name that is too long
    return next((above for above in (real, *real.parents) if os.path.isfile(above / "dvc.yaml")), None)  # noqa: PTH113


def caches(project: Path | None) -> list[Path]:
    """Return the folders of DVC's cache and its local remotes, from DVC's config files."""
    home = _home()
    configs = [Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "dvc/config")]
    configs += [home / "Library/Application Support/dvc/config", Path("/etc/xdg/dvc/config")]
    variables = ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")
    configs += [Path(os.environ[name], "config") for name in variables if os.environ.get(name)]
    configs += [project / ".dvc/config", project / ".dvc/config.local"] if project else []
    found = [path for file in configs for path in _folders_in(file)]
    if project is None:
        return found
    # a remote that holds the whole project would forbid every output
    return [project / ".dvc/cache", *(path for path in found if not project.is_relative_to(path.resolve()))]


def _home() -> Path:
    return Path(os.environ.get("HOME") or "/")


def _folders_in(config: Path) -> list[Path]:
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, InvalidConfig):  # DVC reports this
        return []
    values = [
        value.strip("'\"") for name in parser.sections() for key in ("dir", "url")
        if (value := parser.get(name, key, fallback=""))
    ]  # fmt: skip
    paths = [value.replace("~", str(_home()), 1) if value.startswith("~/") else value for value in values]
    return [config.parent / path for path in paths if "://" not in path]


def is_yaml(path: Path) -> bool:
    """Return whether a path names a params file."""
    return path.suffix in (".yaml", ".yml")


def blocks(path: Path) -> dict[str, Any]:
    """Return the blocks of a params file; {} if it cannot be read, which the command itself reports."""
    try:
        tree = plain_yaml.read(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def roots_of(block: object) -> list[Path]:
    """Return the folders `root` of a block that has one for each domain."""
    domains = block.values() if isinstance(block, dict) else ()
    found = [domain.get("root") for domain in domains if isinstance(domain, dict)]
    return [Path(root) for root in found if isinstance(root, str) and root]


def raw_of(block: object) -> Iterator[Path]:
    """Yield the folders of raw data, and the lists of images that they are split by."""
    yield from roots_of(block)
    for domain in block.values() if isinstance(block, dict) else ():
        root, split = (domain.get(key) for key in ("root", "split")) if isinstance(domain, dict) else ("", "")
        if isinstance(root, str) and isinstance(split, str) and split.startswith("list:"):
            yield Path(root, split.removeprefix("list:"))
