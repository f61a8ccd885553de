"""Evaluate models: confusion matrices, entropies, the easy and the hard subset, and sample predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.core import files
from intrada.core.config.classes import IGNORE, ClassSet, published_subsets
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import scratch
from intrada.data.batch import Batch
from intrada.data.loader import counted_batches, inference_batches
from intrada.data.prefetching import prefetch
from intrada.data.tables import EASY, HARD
from intrada.evaluation import validators
from intrada.evaluation.metrics import Confusion, miou, pixel_accuracy
from intrada.evaluation.pixel_stats import Collector
from intrada.inference.postprocess import PixelPrediction, predict_classes, predict_pixels
from intrada.inference.predictor import Predictor


@torch.inference_mode()
def measure(
    predictors: Sequence[Predictor],
    index: pd.DataFrame,
    batch_size: int,
    device: torch.device,
    context: Context,
    collectors: Sequence[Collector] = (),
    rank: Rank = SINGLE_RANK,
) -> list[Confusion]:
    """Return the confusion matrices of each predictor, (N, C, C) int64 in pixels, in the index's order.

    index: the columns of index.csv, N rows; the matrix of an image without a label is zero. batch_size:
    images per forward pass. collectors: none, or one for each predictor, which also gets the predictions at
    the network's input size. rank: selects the images of this process; all other rows are zero, so that the
    results of several processes can be added.

    Each image is read once for all predictors. The logits are upsampled to the size of the label (bilinear,
    align_corners) before the argmax, as in the published code. Raises UserError for a label with a value
    that is neither a class index nor 255.
    """
    confusions: list[dict[int, Confusion]] = [{} for _ in predictors]
    batches, total = counted_batches(index, batch_size, rank)
    for batch, labels in context.progress(prefetch(_with_labels(batches, index)), total, "batch"):
        batch = batch.to(device)
        for number, predictor in enumerate(predictors):
            low_res_logits = predictor.low_res_logits(batch)
            for image, label in enumerate(labels):
                confusions[number][label.row] = _confusion(predictor, low_res_logits, image, label)
                if collectors:
                    pixels, probability = pixels_and_probability(predictor, low_res_logits, image, batch)
                    collectors[number].add(label.row, batch.ids[image], pixels, probability, label.values)
    return [_stack(by_row, len(index)) for by_row in confusions]


def _stack(by_row: Mapping[int, Confusion], images: int) -> Confusion:
    """Return (images, C, C), zero for a row that is not in `by_row`; (images, 1, 1) if `by_row` is empty."""
    zeros = np.zeros_like(next(iter(by_row.values()), np.zeros((1, 1), np.int64)))
    return np.stack([by_row.get(row, zeros) for row in range(images)])


def pixels_and_probability(
    predictor: Predictor, low_res_logits: Sequence[Tensor], image: int, batch: Batch
) -> tuple[PixelPrediction, Tensor]:
    """Return `_predict_pixels`, and the sum of the softmax over the pixels, (C,) float64."""
    device = batch.image.device
    total = torch.zeros(low_res_logits[0].shape[1], dtype=torch.float64, device=device)
    return _predict_pixels(predictor, low_res_logits, image, batch, total), total


def _predict_pixels(
    predictor: Predictor,
    low_res_logits: Sequence[Tensor],
    image: int,
    batch: Batch,
    total: Tensor | None = None,
) -> PixelPrediction:
    """Return the predictions for image number `image` of the batch, at the network's input size.

    total: (C,) float64, to which the softmax of all pixels is added.
    """
    size = batch.image.shape[2], batch.image.shape[3]
    return predict_pixels(
        predictor.upsampled_tiles(low_res_logits, image, size), size, batch.image.device, total
    )


def assign_subsets(index: pd.DataFrame, entropy: NDArray[np.float64]) -> pd.DataFrame:
    """Return the index with the columns entropy and subset.

    The third of the images with the highest entropy is hard, the rest is easy. Of equal entropies, the
    first in the index is hard first.
    """
    hard = np.argsort(-entropy, kind="stable")[: round(len(index) / 3)]
    subset = np.full(len(index), EASY)
    subset[hard] = HARD
    return index.assign(entropy=entropy, subset=subset)


def summary(confusions: Confusion, subset: pd.Series, classes: ClassSet) -> dict[str, float | None]:
    """Return the metrics in percent, a flat dict for `dvc metrics show`; None without labelled pixels.

    confusions: (N, C, C) int64; subset: (N,) easy or hard. mIoU_19, mIoU_16 and mIoU_13 are the means that
    papers report; each is added if all its classes are in `classes`.
    """
    total = confusions.sum(0)
    values = {
        "mIoU": miou(total),
        **{f"mIoU_{count}": miou(total, only) for count, only in published_subsets(classes).items()},
        "mIoU_easy": miou(confusions[(subset == EASY).to_numpy()].sum(0)),
        "mIoU_hard": miou(confusions[(subset == HARD).to_numpy()].sum(0)),
        "pixel_accuracy": pixel_accuracy(total),
    }
    return {name: None if math.isnan(value) else 100 * value for name, value in values.items()}


def of_images(confusions: Confusion) -> pd.DataFrame:
    """Return the columns mIoU and pixel_accuracy of images.csv in percent, nan without labelled pixels.

    confusions: (N, C, C) int64, one matrix per image.
    """
    rows = [(100 * miou(confusion), 100 * pixel_accuracy(confusion)) for confusion in confusions]
    return pd.DataFrame(rows, columns=["mIoU", "pixel_accuracy"])


def counts(confusions: Confusion, ids: Sequence[str], classes: ClassSet) -> pd.DataFrame:
    """Return the rows of tables.COUNTS: the pixels from which the IoU of any set of the images follows.

    confusions: (N, C, C) int64, one matrix per image; ids: (N,).
    """
    values = [confusions.sum(2), confusions.sum(1), np.diagonal(confusions, axis1=1, axis2=2)]  # each (N, C)
    table = pd.DataFrame({"image": np.repeat([*ids], len(classes)), "class": [*classes.names] * len(ids)})
    return table.assign(**dict(zip(("truth", "predicted", "hits"), (v.ravel() for v in values), strict=True)))


def choose_samples(images: pd.DataFrame, ends: int, between: int) -> pd.DataFrame:
    """Return the rows of `images` whose predictions are written, without duplicates.

    They are the `ends` images of the lowest entropy, the `ends` images of the highest, and up to `between`
    images that are evenly spaced in the order of the entropy.
    """
    order = images.sort_values("entropy", kind="stable")
    even = order.iloc[validators.even_sample(len(order), between)]
    return pd.concat([order.head(ends), order.tail(ends), even]).drop_duplicates("id")


@torch.inference_mode()
def write_samples(
    predictor: Predictor, chosen: pd.DataFrame, folder: Path, palette: list[int], device: torch.device
) -> None:
    """Write the prediction and the entropy map of each chosen image, at the network's input size.

    prediction/<id>.png holds class indices with the palette; entropy/<id>.png is grey, 255 = entropy 1.
    palette: 768 ints, red, green and blue of the class indices.
    """
    for batch in inference_batches(chosen, 1):
        batch = batch.to(device)
        pixels = _predict_pixels(predictor, predictor.low_res_logits(batch), 0, batch)
        prediction = pixels.label.cpu().numpy()
        files.write_label(folder / "prediction" / f"{batch.ids[0]}.png", prediction, palette)
        grey = np.rint(255 * pixels.entropy.cpu().numpy()).astype(np.uint8)
        files.write_label(folder / "entropy" / f"{batch.ids[0]}.png", grey, files.GREY)


class _Label(NamedTuple):
    """The label map of the image in row `row` of the index: (H, W) uint8, None if there is no label."""

    row: int
    file: str
    values: NDArray[np.uint8] | None


def _with_labels(batches: Iterable[Batch], index: pd.DataFrame) -> Iterator[tuple[Batch, list[_Label]]]:
    rows = {str(name): row for row, name in enumerate(index["id"])}
    for batch in batches:
        labels = []
        for name in batch.ids:
            file = str(index["label"].iloc[rows[name]])
            values = scratch.read(files.read_label, Path(file)) if file else None
            labels.append(_Label(rows[name], file, values))
        yield batch, labels


def _confusion(
    predictor: Predictor, low_res_logits: Sequence[Tensor], image: int, label: _Label
) -> Confusion:
    """Return the confusion matrix of image number `image`, at the size of its label; zeros without a label.

    Raises UserError for a label with a value that is neither a class index nor 255.
    """
    classes, device = low_res_logits[0].shape[1], low_res_logits[0].device
    if label.values is None:
        return np.zeros((classes, classes), np.int64)
    size = label.values.shape[0], label.values.shape[1]
    prediction = predict_classes(predictor.upsampled_tiles(low_res_logits, image, size), size, device)
    # the same counts as metrics.confusion_matrix, on the device: no prediction is copied to the CPU
    pairs = torch.from_numpy(label.values).to(device).int().mul_(classes).add_(prediction)
    counted = torch.bincount(pairs.flatten(), minlength=256 * classes)
    counts: Confusion = counted.view(256, classes).cpu().numpy()  # one row per uint8 value
    if unknown_ids := (np.flatnonzero(counts[classes:IGNORE].sum(1)) + classes).tolist():
        allowed = f"indices of the {classes} classes, and {IGNORE}"
        raise UserError(
            label.file, f"the values {unknown_ids[:5]}", allowed, "run `preprocess` for val again"
        )
    return counts[:classes]
