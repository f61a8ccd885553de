"""A training image of Cityscapes: 2048x1024, of which the network sees 1024x512."""

from __future__ import annotations

from pathlib import Path

from benchmarks import Row
from benchmarks.reading import compare
from benchmarks.streets import workplace, write_cityscapes
from intrada.core.config.load import load

PRESET = Path("presets/gta5_to_cityscapes.yaml")
IMAGES = 3


def measure() -> Row:
    """See reading.py."""
    params = load(PRESET)
    with workplace() as folder:
        raw = write_cityscapes(folder / "raw", IMAGES, "train")
        what = "reading a Cityscapes image"
        return compare("read_cityscapes", params, "target", raw, folder / "raw", folder, what)
