"""Read the evaluation images whose predictions the evaluate stage wrote, and scale them down."""

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

Pixels = NDArray[np.uint8]
MAX_SAMPLES = 100  # images in a report


@dataclass(frozen=True)
class Sample:
    """One evaluation image with its label and the predictions of the models.

    image: (H, W, 3) uint8, red green blue. entropy: the mean pixel entropy under the inter model, 0..1.
    entropy_map: (h, w) uint8, 255 = entropy 1. predictions: model -> (h, w) uint8 class indices. label:
    (H', W') uint8 class indices or 255, or None. accuracy: model -> pixel accuracy in percent, {} without
    a label.
    """

    name: str
    subset: str
    entropy: float
    image: Pixels
    entropy_map: Pixels
    predictions: Mapping[str, Pixels]
    label: Pixels | None
    accuracy: Mapping[str, float]


def read(folders: Mapping[str, Path], side: int) -> list[Sample]:
    """Return the samples in `folders` (model -> its evaluation), in ascending order of entropy.

    No side is longer than `side` pixels. Of more than MAX_SAMPLES samples, an even sample of MAX_SAMPLES is
    returned. Raises UserError if there is no sample, or if a model has no prediction of a sample.
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
    rows = chosen.iloc[validators.even_sample(len(chosen), MAX_SAMPLES)].to_dict("records")
    return [downscale(_read(row, folders), side) for row in rows]


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
        {} if label is None else _accuracy(predictions, label),
    )


def _accuracy(predictions: Mapping[str, Pixels], label: Pixels) -> dict[str, float]:
    """Return model -> pixel accuracy in percent at the prediction's size; {} if no pixel is labelled."""
    accuracy = {}
    for model, prediction in predictions.items():
        truth = resized(label, (prediction.shape[1], prediction.shape[0]), Image.Resampling.NEAREST)
        labelled = truth != IGNORE
        if labelled.any():
            accuracy[model] = 100 * float((prediction == truth)[labelled].mean())
    return accuracy


def downscale(sample: Sample, side: int) -> Sample:
    """Return the sample with no side of its images longer than `side` pixels.

    Class indices are resized by nearest neighbour, so that no new index appears.
    """
    nearest = Image.Resampling.NEAREST
    return replace(
        sample,
        image=shrunk(sample.image, side, Image.Resampling.LANCZOS),
        entropy_map=shrunk(sample.entropy_map, side, Image.Resampling.BOX),
        predictions={name: shrunk(indices, side, nearest) for name, indices in sample.predictions.items()},
        label=None if sample.label is None else shrunk(sample.label, side, nearest),
    )


def shrunk(pixels: Pixels, side: int, resampling: Image.Resampling) -> Pixels:
    """Return the image or map with no side longer than `side` pixels, in its proportions."""
    height, width = pixels.shape[:2]
    ratio = side / max(height, width)
    if ratio >= 1:
        return pixels
    return resized(pixels, (max(1, round(width * ratio)), max(1, round(height * ratio))), resampling)


def resized(pixels: Pixels, size: tuple[int, int], resampling: Image.Resampling) -> Pixels:
    """Return the image or map at `size`, (width, height)."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, resampling))


def easiest_and_hardest(samples: list[Sample], count: int) -> list[Sample]:
    """Return the first `count` and the last `count` samples, without duplicates."""
    return samples[:count] + samples[max(count, len(samples) - count) :]
