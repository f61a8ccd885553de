"""List the further labelled data sets of a block of the params in one table, which the trainings read.

The table is the only file about them that DVC compares for a training: it has a hash of the content of each
data set. So preprocessed images of a data set that was removed from the params, and stay on the disk, make no
training stale.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pandas as pd

from intrada.core import hash_cache, hashing
from intrada.core.config.schema import Params
from intrada.core.stage import Choice, In, Out
from intrada.data import tables

READS = ("{block}",)


def run(
    params: Params,
    block: Annotated[str, Choice("the block of the params", ("sources", "target_labelled"))],
    folder: Annotated[Path, In("folder of preprocessed images, with one folder per data set")],
    out: Annotated[Path, Out("table of the data sets (CSV); without rows if there is none")],
) -> None:
    """Write name, weight, number of images, index and a hash of the content of each data set."""
    with hash_cache.opened() as file_hash:
        rows = []
        for name, entry in getattr(params, block).items():
            index = folder / name / "index.csv"
            images = len(tables.read(index, tables.INDEX))
            rows.append((name, entry.weight, images, index.as_posix(), _content(index, file_hash)))
    tables.write(out, pd.DataFrame(rows, columns=list(tables.SETS.columns)), tables.SETS)


def _content(index: Path, file_hash: Callable[[Path], str]) -> str:
    """Return the joint fingerprint of an index and of the images and labels that it names."""
    paths = [index, *tables.files_of(index)]
    return hashing.joint_fingerprint(
        {path.as_posix(): hashing.fingerprint(path, file_hash) for path in paths}
    )
