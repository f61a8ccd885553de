"""A training image of GTA5: 1914x1052, of which the network sees 1280x720."""

from __future__ import annotations

from pathlib import Path

from benchmarks import Row
from benchmarks.reading import compare
from benchmarks.streets import workplace, write_gta5
from intrada.core.config.load import load

PRESET = Path("presets/gta5_to_cityscapes.yaml")
IMAGES = 3


def measure() -> Row:
    """See reading.py."""
    params = load(PRESET)
    with workplace() as folder:
        raw = write_gta5(folder / "raw", IMAGES)
        what = "reading a GTA5 image"
        return compare("read_gta5", params, "source", raw, folder / "raw", folder, what)
