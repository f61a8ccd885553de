"""Write small folders in the format of each dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from intrada.core.config.classes import CITYSCAPES_19, CITYSCAPES_IDS, ClassSet, class_set
from intrada.core.files import write_label
from intrada.data.datasets import open_dataset
from intrada.data.datasets.base import Dataset

NINETEEN = class_set(CITYSCAPES_19)
OFFICIAL_PALETTE = [value for entry in CITYSCAPES_IDS.values() for value in entry.color]


def image(path: Path, width: int = 4, height: int = 2) -> Path:
    """Write a PNG or JPEG photograph of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (10, 20, 30)).save(path)
    return path


def ids(path: Path, rows: Any) -> Path:
    """Write a grey label PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(rows, np.uint8)).save(path)
    return path


def palette_ids(path: Path, rows: Any) -> Path:
    """Write a label PNG with the Cityscapes palette, as in GTA5."""
    write_label(path, np.array(rows, np.uint8), OFFICIAL_PALETTE)
    return path


def class_and_instance(path: Path, rows: Any) -> Path:
    """Write a 16-bit colour PNG with the class in red and an instance id in green, as in SYNTHIA."""
    path.parent.mkdir(parents=True, exist_ok=True)
    red = np.array(rows, np.uint16)
    assert cv2.imwrite(str(path), np.stack([np.zeros_like(red), np.full_like(red, 976), red], axis=2))
    return path


def opened(
    name: str, root: Path, split: str = "all", classes: ClassSet = NINETEEN, **options: Any
) -> Dataset:
    return open_dataset(name, root, split, options, classes)


def names(dataset: Dataset) -> list[str]:
    return [item.id for item in dataset.items()]
