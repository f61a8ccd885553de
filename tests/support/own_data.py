"""Folders of small photographs and label images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photo(path: Path, size: tuple[int, int] = (48, 32), grey: bool = False) -> None:
    """Write a noisy image."""
    noise = np.random.default_rng(len(path.name)).integers(0, 200, (size[1], size[0], 3), np.uint8)
    _save(Image.fromarray(noise[:, :, 0] if grey else noise), path)


def label(path: Path, values: list[int], size: tuple[int, int] = (48, 32)) -> None:
    """Write an id image with one band of rows for each value."""
    _save(Image.fromarray(_bands(values, size)), path)


def colors(path: Path, values: list[tuple[int, int, int]], size: tuple[int, int] = (48, 32)) -> None:
    """Write a colour label with one band of rows for each colour."""
    _save(Image.fromarray(np.array(values, np.uint8)[_bands(list(range(len(values))), size)]), path)


def _bands(values: list[int], size: tuple[int, int]) -> np.ndarray:
    rows = np.array(values, np.uint8)[np.arange(size[1]) * len(values) // size[1]]
    return np.repeat(rows[:, None], size[0], 1)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
