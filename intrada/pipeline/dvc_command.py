"""`dvc`, with two promises more: a kill leaves the old dvc.lock, not half a new one, and ends every lock.

DVC 3 writes dvc.lock in place, for half a second after each stage, and reads half of one neither in
`dvc repro` nor anywhere else. What a killed process had locked stays locked while nobody has waited for it,
which process 1 of many containers never does. DVC also parses dvc.lock for comments to keep, of which it has
none: a second after each stage. This is the `dvc` of the project's environment, and of Snakemake's rules.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dvc import cli, rwlock
from dvc.utils.serialize import _common, _yaml

from intrada.core.atomic import alive, atomic_file, sweep


def main() -> int:
    """Run DVC with the words of the command line; its exit status."""
    install()
    status: int = cli.main(sys.argv[1:])
    return status


def install() -> None:
    """In this process let DVC write YAML by `_dump`, read dvc.lock by `_parse`, ask `alive` who lives."""
    _common._dump_data = _dump
    _yaml.parse_yaml_for_update = _parse
    rwlock.psutil = SimpleNamespace(pid_exists=alive)  # all that it asks of psutil


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
