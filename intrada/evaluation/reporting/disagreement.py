"""Where the models disagree, and what a person should label next, on the page. Neither needs a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from intrada.core import files
from intrada.evaluation.reporting import pictures
from intrada.evaluation.reporting.samples import Pixels, resized

SIDE = 384  # longest side of a picture, pixels
SHOWN = 4  # images of least agreement


@dataclass(frozen=True)
class Disputed:
    """An image: image, the two predictions and where they differ, name of the picture -> data URL."""

    name: str
    agreement: float
    pictures: dict[str, str]


@dataclass(frozen=True)
class Suggested:
    """A target image that should be labelled next. rank: 1 has the highest entropy of `total` images."""

    name: str
    path: str
    entropy: float
    rank: int
    total: int
    picture: str


@dataclass(frozen=True)
class Disagreement:
    """pairs: (first, second model, agreement in percent). images: of the first and the last model."""

    pairs: list[tuple[str, str, float]]
    images: list[Disputed]


def build(
    pairs: Mapping[str, dict[str, Any]],
    folders: Mapping[str, Path],
    images: pd.DataFrame,
    palette: list[int],
) -> Disagreement:
    """Return the section about the models' agreement.

    pairs: of findings.json. folders: model -> its evaluation, with predictions/. images: images.csv.
    """
    names = list(folders)
    first, last = names[0], names[-1]
    paths = dict(zip(images["id"], images["image"], strict=True))
    shown = pairs[f"{first}_{last}"]["least"][:SHOWN]
    disputed = [
        _disputed(row, Path(paths[row["image"]]), {name: folders[name] for name in (first, last)}, palette)
        for row in shown
    ]
    table = [
        (one, other, found["agreement"])
        for one in names
        for other in names
        if (found := pairs.get(f"{one}_{other}"))
    ]
    return Disagreement(table, disputed)


def _disputed(
    row: Mapping[str, Any], path: Path, folders: Mapping[str, Path], palette: list[int]
) -> Disputed:
    maps = {
        name: files.read_label(folder / "predictions" / f"{row['image']}.png")
        for name, folder in folders.items()
    }
    image = _small(files.read_image(path)[:, :, ::-1], Image.Resampling.LANCZOS)
    first, last = (_small(indices, Image.Resampling.NEAREST) for indices in maps.values())
    shown = {"image": pictures.photograph(image)}
    shown |= {
        name: pictures.class_map(indices, palette) for name, indices in zip(maps, (first, last), strict=True)
    }
    shown["where they differ"] = pictures.differences(image, last, first)
    return Disputed(row["image"], float(row["agreement"]), shown)


def label_next(table: pd.DataFrame, total: int) -> list[Suggested]:
    """Return the images of label_next.csv with a picture. total: number of target images."""
    suggested = []
    for name, path, entropy, rank in table[["image", "path", "entropy", "rank"]].to_numpy(object):
        small = _small(files.read_image(Path(path))[:, :, ::-1], Image.Resampling.LANCZOS)
        picture = pictures.photograph(small)
        suggested.append(Suggested(name, path, float(entropy), int(rank), total, picture))
    return suggested


def _small(pixels: Pixels, resampling: Image.Resampling) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = min(1.0, SIDE / max(height, width))
    return resized(pixels, (max(1, round(width * ratio)), max(1, round(height * ratio))), resampling)
