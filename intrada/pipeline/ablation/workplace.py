"""A folder in which the pipeline's stages run as they do in a checkout, with a params file of their own.

Its checkpoints, execution log and records stay in it, apart from those of the main pipeline and of the
jobs that run beside it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.pipeline import stage_runner

PARAMS = Path("params.yaml")


@contextmanager
def opened(folder: Path, data: Path, tree: dict[str, Any]) -> Iterator[None]:
    """Within the block, `folder` is the working directory and holds `tree` as its params.yaml.

    data: the folder that the indexes' paths begin with; it is linked, and so is weights/.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for target in (data, Path("weights")):
        _link(folder / target.name, target)
    with files.atomic_file(folder / PARAMS) as temporary:
        temporary.write_text(plain_yaml.dump(tree), encoding="utf-8")
    with contextlib.chdir(folder):
        yield


def run(stage: str, **options: Any) -> None:
    """Run a stage of the pipeline in the open folder; UserError as from the command line."""
    stage_runner.execute(stage, PARAMS, options)


def _link(path: Path, target: Path) -> None:
    if path != target and not path.is_symlink():  # where the data are made, they need no link
        path.symlink_to(os.path.relpath(target, path.parent))
