"""A folder in which the pipeline's stages run as they do in a checkout, with a params file of their own.

Its execution log and records stay in it, apart from those of the main pipeline and of the jobs that run
beside it. The checkpoints of a seed are in one folder: a training that another recipe has finished, with the
same params, inputs and code, resumes from its last checkpoint and has nothing left to do.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from intrada.core import files, locks
from intrada.core.config import plain_yaml
from intrada.pipeline import stage_runner
from intrada.pipeline.ablation.places import Places

PARAMS = Path("params.yaml")


@contextmanager
def opened(folder: Path, places: Places, tree: dict[str, Any]) -> Iterator[None]:
    """Within the block, `folder` is the working directory and holds `tree` as its params.yaml.

    The data of the run, with which the indexes' paths begin, its checkpoints and weights/ are linked.
    """
    for path in (folder, places.runs):
        path.mkdir(parents=True, exist_ok=True)
    for target in (places.data, places.runs, Path("weights")):
        _link(folder / target.name, target)
    with files.atomic_file(folder / PARAMS) as temporary:
        temporary.write_text(plain_yaml.dump(tree), encoding="utf-8")
    with contextlib.chdir(folder):
        yield


def run(stage: str, **options: Any) -> None:
    """Run a stage of the pipeline in the open folder; UserError as from the command line."""
    stage_runner.execute(stage, PARAMS, options)


@contextmanager
def turn(folder: Path, block: dict[str, Any], inputs: Iterable[Path]) -> Iterator[None]:
    """Wait until no other job with `folder` is in such a block with equal params and equal input files."""
    contents = [path.read_bytes() for path in inputs]
    key = hashlib.sha256(
        b"".join(hashlib.sha256(each).digest() for each in (repr(block).encode(), *contents))
    )
    path = folder / f"{key.hexdigest()[:16]}.lock"
    while (handle := locks.try_acquire(path)) is None:
        time.sleep(1)
    with handle:
        yield


def _link(path: Path, target: Path) -> None:
    if path != target and not os.path.lexists(path):  # where the data are made, they need no link
        path.symlink_to(os.path.relpath(target, path.parent))
