"""Time reading a training image of GTA5: 1914x1052, resized to 1280x720."""

from __future__ import annotations

from pathlib import Path

from benchmarks import Row
from benchmarks.reading import compare
from benchmarks.streets import temporary_folder, write_gta5
from intrada.core.config.load import load

PRESET = Path("presets/gta5_to_cityscapes.yaml")
IMAGES = 3


def measure() -> Row:
    """Return the row of reading.compare."""
    params = load(PRESET)
    with temporary_folder() as folder:
        raw = write_gta5(folder / "raw", IMAGES)
        task = "reading a GTA5 image"
        return compare("read_gta5", params, "source", raw, folder / "raw", folder, task)
