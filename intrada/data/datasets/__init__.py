"""Datasets by name. To add one, write a module with a `build` function and add a line to DATASETS."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrada.core.errors import UserError

if TYPE_CHECKING:  # with them come pandas and OpenCV, and this module is imported wherever params are checked
    from intrada.core.config.classes import ClassSet
    from intrada.data.datasets.base import Dataset

DATASETS = {
    "cityscapes": "intrada.data.datasets.cityscapes",
    "folders": "intrada.data.datasets.folders",
    "gta5": "intrada.data.datasets.gta5",
    "synscapes": "intrada.data.datasets.synscapes",
    "synthia": "intrada.data.datasets.synthia",
}


MISSING = (
    "put the data, or a link to them, there, or fix the path; `dvc exp run --temp` and `--queue` see only "
    "what Git tracks: add `-C data/raw` (`-C FILE` for weights), or use an absolute path"
)


def open_dataset(name: str, root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Return the dataset called `name` in the folder `root`. No file is opened.

    split: `all`, `list:FILE`, `range:START:STOP`, or a form that the dataset's module documents; options: see
    `build` of the dataset's module. Raises UserError for an unknown name, a missing root or a wrong option.
    """
    if name not in DATASETS:
        fix = "choose one of these; `folders` describes any dataset by its options"
        raise UserError("dataset", f"the unknown name {name!r}", ", ".join(sorted(DATASETS)), fix)
    if not root.is_dir():
        raise UserError(root, "no such folder", f"the root folder of a {name} dataset", MISSING)
    dataset: Dataset = import_module(DATASETS[name]).build(root, split, options, classes)
    return dataset
