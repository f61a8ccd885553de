"""What the pixels of evaluated images say: entropy, mean probabilities, shares of classes, reliability.

All of it is at the network's input size. Only the reliability needs labels. Everything is a count or belongs
to one image, so that the sum over several processes does not depend on their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from intrada.core import files
from intrada.core.config.classes import IGNORE
from intrada.evaluation import criteria
from intrada.inference.postprocess import PixelPrediction

LEVELS = 1000  # steps of the confidence in which the pixels are counted
BINS = 10  # rows of reliability.csv
WRITES_AHEAD = 8  # label maps that wait for a thread which encodes them
WriteMap = Callable[[str, NDArray[np.uint8]], None]  # id of an image, its label map (H, W)


@dataclass(frozen=True)
class PixelStats:
    """The pixels of N images under one model, in the order of the index; zero for images not counted.

    entropy: (N,) float64, the mean of each image, 0..1. probability: (N, C) float64, the mean softmax of each
    image. predicted: (N, C) int64, the pixels predicted as each class. confidence: (LEVELS + 1, 2) int64,
    the labelled pixels of all images by the softmax maximum in steps of 1 / LEVELS: wrong ones, correct ones.
    """

    entropy: NDArray[np.float64]
    probability: NDArray[np.float64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.int64]

    def __add__(self, other: PixelStats) -> PixelStats:
        """Return the sum of two results, each of which is zero for the images of the other."""
        return PixelStats(
            self.entropy + other.entropy,
            self.probability + other.probability,
            self.predicted + other.predicted,
            self.confidence + other.confidence,
        )

    def label_free(self) -> dict[str, float]:
        """Return mean_entropy and mutual_information, 0..1, over the images, each of the same weight."""
        entropy = float(self.entropy.sum() / len(self.entropy))
        information = criteria.mutual_information(self.probability.sum(0) / len(self.entropy), entropy)
        return {"mean_entropy": entropy, "mutual_information": information}


class Collector:
    """Collects the PixelStats of `images` images with `classes` classes, one image at a time.

    write: called with the id and the label map of each image.
    """

    def __init__(self, images: int, classes: int, write: WriteMap | None = None) -> None:
        self.stats = PixelStats(
            np.zeros(images),
            np.zeros((images, classes)),
            np.zeros((images, classes), np.int64),
            np.zeros((LEVELS + 1, 2), np.int64),
        )
        self._write = write

    def add(
        self, row: int, name: str, pixels: PixelPrediction, total: Tensor, label: NDArray[np.uint8] | None
    ) -> None:
        """Add the image in row `row` of the index.

        total: (C,) float64, the sum of the softmax over its pixels. label: its label map, of any size, or
        None; it is resized to the prediction's size by nearest neighbour.
        """
        self.stats.entropy[row] = pixels.entropy.mean().item()
        self.stats.probability[row] = total.cpu().numpy() / pixels.entropy.numel()
        counts = torch.bincount(pixels.label.flatten(), minlength=len(total))
        self.stats.predicted[row] = counts.cpu().numpy()
        if label is not None:
            self.stats.confidence[:] += _confidence_counts(pixels, label)
        if self._write:
            self._write(name, pixels.label.cpu().numpy())


def confidence_levels(pixels: PixelPrediction) -> Tensor:
    """Return the level of each pixel's confidence, (H, W) int32 in 0..LEVELS."""
    return pixels.confidence.mul(LEVELS).round().clamp(max=LEVELS).int()


def _confidence_counts(pixels: PixelPrediction, label: NDArray[np.uint8]) -> NDArray[np.int64]:
    truth = torch.from_numpy(label).to(pixels.label.device)
    if truth.shape != pixels.label.shape:
        truth = interpolate(truth[None, None], tuple(pixels.label.shape), mode="nearest-exact")[0, 0]
    pairs = (2 * confidence_levels(pixels) + (pixels.label == truth))[truth != IGNORE]
    counts: NDArray[np.int64] = torch.bincount(pairs, minlength=2 * (LEVELS + 1)).cpu().numpy()
    return counts.reshape(LEVELS + 1, 2)


def reliability(confidence: NDArray[np.int64]) -> pd.DataFrame:
    """Return the rows of reliability.csv, in percent, for the bins that hold a pixel.

    confidence: as in PixelStats. A pixel with a confidence at the border of two bins is in the higher one.
    """
    levels = np.arange(LEVELS + 1)
    bins = np.minimum(levels * BINS // LEVELS, BINS - 1)
    pixels = confidence.sum(1)
    rows = []
    for number in range(BINS):
        chosen = bins == number
        if count := int(pixels[chosen].sum()):
            mean = 100 * int((levels * pixels)[chosen].sum()) / (LEVELS * count)
            correct = 100 * int(confidence[chosen, 1].sum()) / count
            rows.append((100 * number / BINS, 100 * (number + 1) / BINS, count, mean, correct))
    return pd.DataFrame(rows, columns=["from", "to", "pixels", "confidence", "accuracy"])


@contextmanager
def map_writer(folder: Path, palette: list[int], workers: int) -> Iterator[WriteMap]:
    """Yield a function that writes a label map to FOLDER/<id>.png in a thread; the block waits for all.

    palette: 768 ints, red, green and blue of the class indices. Few maps are in memory at a time.
    """
    pending: deque[Future[None]] = deque()
    with ThreadPoolExecutor(workers) as pool:

        def write(name: str, label: NDArray[np.uint8]) -> None:
            pending.append(pool.submit(files.write_label, folder / f"{name}.png", label, palette))
            if len(pending) > WRITES_AHEAD:
                pending.popleft().result()

        yield write
        for written in pending:
            written.result()
