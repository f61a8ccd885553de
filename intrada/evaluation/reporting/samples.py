"""The evaluation images that evaluate has written predictions of, at a size to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from intrada.core import files
from intrada.core.config.classes import IGNORE
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.evaluation import validators

Picture = NDArray[np.uint8]
MOST = 100  # images of a report


@dataclass(frozen=True)
class Sample:
    """One evaluation image as the models see it.

    image (H, W, 3) uint8, red green blue; uncertainty (h, w) uint8, 255 = entropy 1; predictions: model ->
    (h, w) uint8 class indices; label (H', W') uint8 class indices or 255, or None; right: model -> percent of
    the labelled pixels that it calls right, {} without a label.
    """

    name: str
    subset: str
    entropy: float
    image: Picture
    uncertainty: Picture
    predictions: Mapping[str, Picture]
    label: Picture | None
    right: Mapping[str, float]


def read(folders: Mapping[str, Path], side: int) -> list[Sample]:
    """The samples in `folders` (model -> its evaluation), surest first, no side longer than `side` pixels.

    An even sample of MOST where there are more. UserError if there is none, or one that a model lacks.
    """
    inter = folders["inter"]
    images = tables.read(inter / "images.csv", tables.IMAGES).sort_values("entropy", kind="stable")
    written = [(inter / "samples" / "entropy" / f"{name}.png").exists() for name in images["id"]]
    chosen = images[written]
    if chosen.empty:
        raise UserError(
            inter / "samples", "no sample of any image in images.csv",
            "entropy/<id>.png of at least one image", "run evaluate again for the three models",
        )  # fmt: skip
    rows = chosen.iloc[validators.even_sample(len(chosen), MOST)].to_dict("records")
    return [small(_read(row, folders), side) for row in rows]


def _read(row: Mapping[Any, Any], folders: Mapping[str, Path]) -> Sample:
    name = row["id"]
    predictions = {
        model: files.read_label(folder / "samples" / "prediction" / f"{name}.png")
        for model, folder in folders.items()
    }
    label = files.read_label(Path(row["label"])) if row["label"] else None
    return Sample(
        name,
        row["subset"],
        row["entropy"],
        files.read_image(Path(row["image"]))[:, :, ::-1],
        files.read_label(folders["inter"] / "samples" / "entropy" / f"{name}.png"),
        predictions,
        label,
        {} if label is None else _right(predictions, label),
    )


def _right(predictions: Mapping[str, Picture], label: Picture) -> dict[str, float]:
    """Percent of the labelled pixels, at each prediction's own size; {} where no pixel is labelled."""
    found = {}
    for model, prediction in predictions.items():
        truth = _resized(label, (prediction.shape[1], prediction.shape[0]), Image.Resampling.NEAREST)
        known = truth != IGNORE
        if known.any():
            found[model] = 100 * float((prediction == truth)[known].mean())
    return found


def small(sample: Sample, side: int) -> Sample:
    """The same with no side of a picture longer than `side` pixels; class indices are never mixed."""

    def shrunk(picture: Picture, resampling: Image.Resampling) -> Picture:
        height, width = picture.shape[:2]
        ratio = side / max(height, width)
        if ratio >= 1:
            return picture
        return _resized(picture, (max(1, round(width * ratio)), max(1, round(height * ratio))), resampling)

    nearest = Image.Resampling.NEAREST
    return replace(
        sample,
        image=shrunk(sample.image, Image.Resampling.LANCZOS),
        uncertainty=shrunk(sample.uncertainty, Image.Resampling.BOX),
        predictions={name: shrunk(indices, nearest) for name, indices in sample.predictions.items()},
        label=None if sample.label is None else shrunk(sample.label, nearest),
    )


def _resized(picture: Picture, size: tuple[int, int], resampling: Image.Resampling) -> Picture:
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, resampling))


def ends(samples: list[Sample], count: int) -> list[Sample]:
    """The first `count` and the last `count`, each once."""
    return samples[:count] + samples[max(count, len(samples) - count) :]
