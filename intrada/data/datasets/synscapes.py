"""Synscapes (Wrenninge and Unger, 2018): img/rgb/1.png with img/class/1.png, Cityscapes label ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_IDS, IGNORE, ClassSet
from intrada.data.datasets.base import Dataset, Layout, exclude_of, options_of
from intrada.data.datasets.coding import id_coding


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Return Synscapes below `root`, with images of 1440x720 pixels.

    options: exclude, patterns of files that are left out.
    """
    chosen = options_of("synscapes", options, {"exclude": []})
    names = {raw: entry.name for raw, entry in CITYSCAPES_IDS.items()}
    fix = "check that these are Synscapes' own files of img/class"
    # 255 is the Cityscapes id -1 (license plate) in an unsigned image.
    coding = id_coding(classes, names, [IGNORE], fix)
    exclude = exclude_of("synscapes", chosen["exclude"])
    layout = Layout(
        root, "img/rgb/*.png", "img/class/{stem}.png", exclude=exclude, no_labels="dataset: folders"
    )
    return Dataset(layout, split, classes, lambda path: coding.decode(files.read_label(path), path), True)
