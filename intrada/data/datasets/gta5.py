"""GTA5, "Playing for Data" (Richter et al., ECCV 2016): images/00001.png with labels/00001.png.

The label PNGs have a palette. Its indices are Cityscapes label ids, and 34 for license plates. A label in the
RGB variant is recognised and decoded by colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_19, CITYSCAPES_IDS, ClassSet
from intrada.data.datasets import patterns
from intrada.data.datasets.base import Dataset, Layout, exclude_of, options_of
from intrada.data.datasets.coding import color_coding, id_coding, read_colors

LICENSE_PLATE = 34
_FIX = "check that these are GTA5's own labels; a `folders` dataset describes any other coding"


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Return GTA5 below `root`.

    options: images (default "images"), the folder of the images. It allows a translated copy of the images,
    for example by CycleGAN, to be used with the same labels. exclude, patterns of files that are left out.
    """
    chosen = options_of("gta5", options, {"images": "images", "exclude": []})
    folder = patterns.of_option("options of gta5", "images", chosen["images"], "images_translated")
    # A pole group has the colour of a pole; the class that is trained comes last and overwrites the other.
    # License plates have the colour of cars and count as cars.
    ordered = sorted(CITYSCAPES_IDS.values(), key=lambda entry: entry.name in CITYSCAPES_19)
    names = {raw: entry.name for raw, entry in CITYSCAPES_IDS.items()}
    ids = id_coding(classes, names, [LICENSE_PLATE], _FIX)
    colors = color_coding(classes, {entry.color: entry.name for entry in ordered}, [], _FIX)

    def read_label(path: Path) -> np.ndarray:
        with files.open_image(path, "a GTA5 label PNG") as image:
            colored = image.mode.startswith("RGB")
        return colors.decode(read_colors(path), path) if colored else ids.decode(files.read_label(path), path)

    exclude = exclude_of("gta5", chosen["exclude"])
    layout = Layout(root, f"{folder}/*", "labels/{stem}.png", exclude=exclude, no_labels="dataset: folders")
    return Dataset(layout, split, classes, read_label)
