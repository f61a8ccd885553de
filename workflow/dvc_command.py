"""`dvc`, with one promise more: a kill while it writes dvc.lock leaves the old file, not half a new one.

DVC 3 writes the file in place, for half a second after each stage, and reads half of one neither in
`dvc repro` nor anywhere else. It also parses the file for comments to keep, of which it has none: a second
after each stage. This is the `dvc` of the project's environment and what Snakemake's rules run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc import cli
from dvc.utils.serialize import _common, _yaml

from intrada.atomic import atomic_file, sweep


def main() -> int:
    """Run DVC with the words of the command line; its exit status."""
    install()
    status: int = cli.main(sys.argv[1:])
    return status


def install() -> None:
    """Let DVC write its YAML files through `_dump` and read dvc.lock by `_parse`, in this process."""
    _common._dump_data = _dump
    _yaml.parse_yaml_for_update = _parse


def _dump(
    path: os.PathLike[str] | str, data: Any, dumper: Callable[..., None], fs: Any = None, **options: Any
) -> None:
    """`_dump_data` of DVC, whose files are all in the workspace: `data` as `dumper` writes it."""
    sweep([Path(path).parent])  # what a killed one has left there
    with atomic_file(Path(path)) as temporary, temporary.open("w+", encoding="utf-8") as file:
        dumper(data, file, **options)


def _parse(text: str, path: os.PathLike[str] | str) -> Any:
    """`parse_yaml_for_update` of DVC, which keeps comments; dvc.lock as DVC parses it everywhere else."""
    return _yaml.parse_yaml(text, path, typ="safe" if Path(path).name == "dvc.lock" else "rt")


if __name__ == "__main__":
    sys.exit(main())
