"""Predict frames, and write the label map, the entropy map and the overlay of each.

At most two batches are in memory, and the frames that were read in advance. The network gets each frame at
its own size, or resized to `size`. Its logits are upsampled to the size of the frame in one step, as the
evaluation upsamples them to the size of a label.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.core import files
from intrada.core.config.classes import IGNORE, ClassSet
from intrada.core.plain_text import csv_cell
from intrada.data.batch import Batch
from intrada.data.prefetching import prefetch
from intrada.data.resize import resize_image
from intrada.data.tables import PIXELS
from intrada.inference.postprocess import predict_pixels
from intrada.inference.predictor import Predictor


class Frame(NamedTuple):
    """An image or a frame of a video. name: of its result files; image: (H, W, 3) uint8 BGR."""

    name: str
    image: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model predicts for an image of H x W pixels.

    label: (H, W) uint8, class indices 0..C-1; confidence: (H, W) float32, the largest softmax probability,
    1/C..1; entropy: (H, W) float32, the entropy of the softmax divided by log C: 0 (certain) to 1.
    """

    label: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32]


class FramePrediction(NamedTuple):
    """A frame, its prediction, and the mean entropy of its pixels, 0..1."""

    frame: Frame
    prediction: Prediction
    mean_entropy: float


@dataclass(frozen=True)
class PredictOptions:
    """The model, and how it gets the frames.

    size: (width, height) in pixels of the network's input, None for the size of each frame; batch_size:
    frames in one forward pass.
    """

    predictor: Predictor
    device: torch.device
    size: tuple[int, int] | None
    batch_size: int


@dataclass(frozen=True)
class PredictionWriter:
    """Writes the files of a prediction below `folder`.

    alpha: weight of the class colours in the overlay, 0..1; label_ids: (C,) uint8, label id of each class
    index. With label_ids, label_ids/ is written too.
    """

    folder: Path
    classes: ClassSet
    alpha: float
    label_ids: NDArray[np.uint8] | None

    def write(self, predicted: FramePrediction) -> NDArray[np.uint8]:
        """Write the PNGs of one frame; return its overlay, (H, W, 3) uint8 BGR.

        prediction/NAME.png: class indices with a palette; entropy/NAME.png: grey, 255 is entropy 1;
        overlay/NAME.png: the image mixed with the class colours.
        """
        (name, image), prediction = predicted.frame, predicted.prediction
        palette = self.classes.palette()
        grey = np.rint(255 * prediction.entropy).astype(np.uint8)
        mixed = overlay(image, prediction.label, palette, self.alpha)
        files.write_label(self.folder / "prediction" / f"{name}.png", prediction.label, palette)
        files.write_label(self.folder / "entropy" / f"{name}.png", grey, files.GREY)
        files.write_image(self.folder / "overlay" / f"{name}.png", mixed)
        if self.label_ids is not None:
            ids = self.label_ids[prediction.label]
            files.write_label(self.folder / "label_ids" / f"{name}.png", ids, files.GREY)
        return mixed


def overlay(
    image: NDArray[np.uint8], label: NDArray[np.uint8], palette: list[int], alpha: float
) -> NDArray[np.uint8]:
    """Return `(1 - alpha) * image + alpha * class colour`, rounded: (H, W, 3) uint8 BGR.

    image (H, W, 3) uint8 BGR; label (H, W) uint8; palette: 768 values 0..255, red green blue of each index.
    """
    colors = np.array(palette, np.uint8).reshape(256, 3)[:, ::-1][label]
    mixed: NDArray[np.uint8] = cv2.addWeighted(image, 1 - alpha, colors, alpha, 0)
    return mixed


class Table:
    """Writes the rows of predictions.csv: image, entropy (mean, 0..1), pixels_<class>, as in scores.csv.

    rows: number of rows; entropies: sum of their entropies; pixels: (C,) sum of their pixels of each class.
    """

    def __init__(self, writer: Any, classes: ClassSet) -> None:
        self.classes, self._writer = classes, writer
        self.rows, self.entropies = 0, 0.0
        self.pixels: NDArray[np.int64] = np.zeros(len(classes), np.int64)
        writer.writerow(["image", "entropy", *(csv_cell(PIXELS + name) for name in classes.names)])

    def add(self, predicted: FramePrediction) -> None:
        """Append a row; floats are written with all their digits."""
        counts = np.bincount(predicted.prediction.label.ravel(), minlength=len(self.classes))
        self._writer.writerow([csv_cell(predicted.frame.name), predicted.mean_entropy, *counts.tolist()])
        self.rows += 1
        self.entropies += predicted.mean_entropy
        self.pixels += counts


@contextmanager
def table(path: Path, classes: ClassSet) -> Iterator[Table]:
    """Yield a Table that appends to a temporary file; it gets the name `path` if the block raises nothing."""
    with (
        files.atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as handle,
    ):
        yield Table(csv.writer(handle, lineterminator="\n"), classes)


def write_all(
    frames: Iterable[Frame], options: PredictOptions, writer: PredictionWriter, pool: ThreadPoolExecutor
) -> Iterator[tuple[FramePrediction, NDArray[np.uint8]]]:
    """Predict and write every frame, in order; yield each prediction with its overlay after it is written.

    The threads of `pool` write a batch while the network computes the next one.
    """
    written: Iterator[tuple[FramePrediction, NDArray[np.uint8]]] = iter(())
    for batch in predict(frames, options):
        yield from written  # waits, and raises the errors of the writers
        written = zip(batch, pool.map(writer.write, batch), strict=True)
    yield from written


def predict(frames: Iterable[Frame], options: PredictOptions) -> Iterator[list[FramePrediction]]:
    """Yield the predictions of all frames, in order, batch by batch; a thread reads ahead."""
    inputs = (_input(frame, options.size) for frame in frames)
    for batch in _batches(prefetch(inputs), options.batch_size):
        yield _predict_batch(batch, options)


def predict_one(frame: Frame, options: PredictOptions) -> FramePrediction:
    """Return the prediction of one frame, the same as `predict` gives it alone in a batch."""
    [prediction] = _predict_batch([_input(frame, options.size)], options)
    return prediction


_Input = tuple[Frame, NDArray[np.uint8]]  # a frame, and the same as the network sees it


def _input(frame: Frame, size: tuple[int, int] | None) -> _Input:
    return frame, frame.image if size is None else resize_image(frame.image, size)


@torch.inference_mode()
def _predict_batch(batch: list[_Input], options: PredictOptions) -> list[FramePrediction]:
    images = torch.stack([torch.from_numpy(pixels.transpose(2, 0, 1).copy()) for _, pixels in batch])
    unlabelled = torch.full((len(batch), *images.shape[2:]), IGNORE)
    names = [frame.name for frame, _ in batch]
    low_res_logits = options.predictor.low_res_logits(Batch(names, images, unlabelled).to(options.device))
    return [_prediction(options, low_res_logits, index, frame) for index, (frame, _) in enumerate(batch)]


def _batches(inputs: Iterable[_Input], batch_size: int) -> Iterator[list[_Input]]:
    """Yield groups of up to `batch_size` consecutive frames whose inputs have the same size."""
    batch: list[_Input] = []
    for item in inputs:
        if batch and (len(batch) == batch_size or item[1].shape != batch[0][1].shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _prediction(
    options: PredictOptions, low_res_logits: list[Tensor], index: int, frame: Frame
) -> FramePrediction:
    """Return the prediction of frame number `index` of the batch, at its own size."""
    size = frame.image.shape[0], frame.image.shape[1]
    pixels = predict_pixels(
        options.predictor.upsampled_tiles(low_res_logits, index, size), size, options.device
    ).cpu()
    maps = Prediction(pixels.label.numpy(), pixels.confidence.numpy(), pixels.entropy.numpy())
    return FramePrediction(frame, maps, float(pixels.entropy.mean()))
