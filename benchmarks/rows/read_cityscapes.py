"""Time reading a training image of Cityscapes: 2048x1024, resized to 1024x512."""

from __future__ import annotations

from pathlib import Path

from benchmarks import Row
from benchmarks.reading import compare
from benchmarks.streets import temporary_folder, write_cityscapes
from intrada.core.config.load import load

PRESET = Path("presets/gta5_to_cityscapes.yaml")
IMAGES = 3


def measure() -> Row:
    """Return the row of reading.compare."""
    params = load(PRESET)
    with temporary_folder() as folder:
        raw = write_cityscapes(folder / "raw", IMAGES, "train")
        task = "reading a Cityscapes image"
        return compare("read_cityscapes", params, "target", raw, folder / "raw", folder, task)
