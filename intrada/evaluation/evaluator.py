"""One pass of a model over the evaluation images: confusion, entropy, easy and hard, samples to look at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.core import files
from intrada.core.config.classes import IGNORE, ClassSet, reported
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data.loader import Batch, counted_batches, inference_batches, prefetch
from intrada.data.tables import EASY, HARD
from intrada.evaluation import validators
from intrada.evaluation.metrics import Confusion, miou, pixel_accuracy
from intrada.inference.postprocess import PixelPrediction, classes_of, predict_pixels
from intrada.inference.predictor import Predictor


@dataclass(frozen=True)
class Results:
    """confusions (N, C, C) int64 and entropy (N,) float64 in 0..1 of the images, in the index's order.

    The confusion matrix of an image without a label is all zero. entropy: None where it was not asked for.
    """

    confusions: Confusion
    entropy: NDArray[np.float64] | None

    def __add__(self, other: Results) -> Results:
        """Of two parts of the images, where each is zero at the other's: the results of both."""
        both = self.entropy is not None and other.entropy is not None
        return Results(self.confusions + other.confusions, self.entropy + other.entropy if both else None)  # type: ignore[operator]


@torch.inference_mode()
def measure(
    predictors: Sequence[Predictor],
    index: pd.DataFrame,
    batch_size: int,
    device: torch.device,
    context: Context,
    entropies: bool,
    rank: Rank = SINGLE_RANK,
) -> list[Results]:
    """Confusion at each label's own size and, with `entropies`, entropy at the network's input size.

    Every image is read once, for all predictors. Logits are upsampled to the label (bilinear,
    align_corners) before argmax, as in the published code. rank: selects the images of this process; all
    other rows are zero, so that the results of several processes add up.
    """
    entropy = np.zeros((len(predictors), len(index)))
    confusions: list[dict[int, Confusion]] = [{} for _ in predictors]
    batches, total = counted_batches(index, batch_size, rank)
    for batch, truths in context.progress(prefetch(_with_truths(batches, index)), total, "batch"):
        batch = batch.to(device)
        for number, predictor in enumerate(predictors):
            low_res_logits = predictor.low_res_logits(batch)
            for image, truth in enumerate(truths):
                confusions[number][truth.place] = _confusion(predictor, low_res_logits, image, truth)
                if entropies:
                    found = _survey(predictor, low_res_logits, image, batch)
                    entropy[number, truth.place] = found.entropy.mean().item()
    found_entropy = list(entropy) if entropies else [None] * len(predictors)
    return [
        Results(_stacked(found, len(index)), each)
        for found, each in zip(confusions, found_entropy, strict=True)
    ]


def _stacked(found: Mapping[int, Confusion], images: int) -> Confusion:
    """(images, C, C), zero where nothing was found; (images, 1, 1) of zeros where nothing at all was."""
    nothing = np.zeros_like(next(iter(found.values()), np.zeros((1, 1), np.int64)))
    return np.stack([found.get(place, nothing) for place in range(images)])


class ImageStats(NamedTuple):
    """Of one image: the mean of its pixels' probabilities, (C,) float64, and of their entropies, 0..1."""

    probability: NDArray[np.float64]
    entropy: float


@torch.inference_mode()
def image_stats(
    predictors: Sequence[Predictor],
    index: pd.DataFrame,
    batch_size: int,
    device: torch.device,
    context: Context,
    rank: Rank = SINGLE_RANK,
) -> list[list[list[ImageStats]]]:
    """For each predictor, for each batch that this process is given, what it says of the images."""
    found: list[list[list[ImageStats]]] = [[] for _ in predictors]
    for batch in context.progress(*counted_batches(index, batch_size, rank), "batch"):
        batch = batch.to(device)
        for number, predictor in enumerate(predictors):
            low_res_logits = predictor.low_res_logits(batch)
            images = []
            for image in range(len(batch.ids)):
                total = torch.zeros(low_res_logits[0].shape[1], dtype=torch.float64, device=device)
                pixels = _survey(predictor, low_res_logits, image, batch, total)
                probability = total.cpu().numpy() / pixels.entropy.numel()
                images.append(ImageStats(probability, pixels.entropy.mean().item()))
            found[number].append(images)
    return found


def information(batches: Iterable[Iterable[ImageStats]]) -> float:
    """`validators.information` over all images, weighted equally and summed in the order of the batches."""
    images = [image for batch in batches for image in batch]
    probability = sum((image.probability for image in images), start=np.zeros(1))
    entropy = sum(image.entropy for image in images)
    return validators.information(probability / len(images), entropy / len(images))


def _survey(
    predictor: Predictor,
    low_res_logits: Sequence[Tensor],
    image: int,
    batch: Batch,
    total: Tensor | None = None,
) -> PixelPrediction:
    """Of image number `image` of the batch, at the size that the network sees."""
    size = batch.image.shape[2], batch.image.shape[3]
    return predict_pixels(
        predictor.upsampled_tiles(low_res_logits, image, size), size, batch.image.device, total
    )


def with_difficulty(index: pd.DataFrame, entropy: NDArray[np.float64]) -> pd.DataFrame:
    """The index with `entropy` and `subset`: the third with the highest entropy is hard, the rest easy."""
    hard = np.argsort(-entropy, kind="stable")[: round(len(index) / 3)]
    subset = np.full(len(index), EASY)
    subset[hard] = HARD
    return index.assign(entropy=entropy, subset=subset)


def summary(confusions: Confusion, subset: pd.Series, classes: ClassSet) -> dict[str, float | None]:
    """Percent, flat, for `dvc metrics show`; None where no labelled pixel says anything.

    mIoU_19, mIoU_16 and mIoU_13, over the classes that papers report, stand there where `classes` has
    them all.
    """
    total = confusions.sum(0)
    values = {
        "mIoU": miou(total),
        **{f"mIoU_{count}": miou(total, only) for count, only in reported(classes).items()},
        "mIoU_easy": miou(confusions[(subset == EASY).to_numpy()].sum(0)),
        "mIoU_hard": miou(confusions[(subset == HARD).to_numpy()].sum(0)),
        "pixel_accuracy": pixel_accuracy(total),
    }
    return {name: None if math.isnan(value) else 100 * value for name, value in values.items()}


def choose_samples(images: pd.DataFrame, ends: int, between: int) -> pd.DataFrame:
    """The `ends` images with the lowest and as many with the highest entropy, and an even sample of all.

    Each once. The sample has up to `between` images, from the lowest entropy to the highest.
    """
    order = images.sort_values("entropy", kind="stable")
    even = order.iloc[validators.even_sample(len(order), between)]
    return pd.concat([order.head(ends), order.tail(ends), even]).drop_duplicates("id")


@torch.inference_mode()
def write_samples(
    predictor: Predictor, chosen: pd.DataFrame, folder: Path, palette: list[int], device: torch.device
) -> None:
    """prediction/<id>.png (class indices, in colours) and entropy/<id>.png (grey, 255 = 1) in `folder`."""
    for batch in inference_batches(chosen, 1):
        batch = batch.to(device)
        found = _survey(predictor, predictor.low_res_logits(batch), 0, batch)
        prediction = found.label.cpu().numpy()
        files.write_label(folder / "prediction" / f"{batch.ids[0]}.png", prediction, palette)
        grey = np.rint(255 * found.entropy.cpu().numpy()).astype(np.uint8)
        files.write_label(folder / "entropy" / f"{batch.ids[0]}.png", grey, files.GREY)


class _Truth(NamedTuple):
    """The label map of the image at `place` of the index, (H, W) uint8; None without one."""

    place: int
    file: str
    label: NDArray[np.uint8] | None


def _with_truths(batches: Iterable[Batch], index: pd.DataFrame) -> Iterator[tuple[Batch, list[_Truth]]]:
    rows = {str(name): place for place, name in enumerate(index["id"])}
    for batch in batches:
        truths = []
        for name in batch.ids:
            file = str(index["label"].iloc[rows[name]])
            truths.append(_Truth(rows[name], file, files.read_label(Path(file)) if file else None))
        yield batch, truths


def _confusion(
    predictor: Predictor, low_res_logits: Sequence[Tensor], image: int, truth: _Truth
) -> Confusion:
    """Confusion of image number `image` of `low_res_logits` with its label at its own size, zero without one.

    UserError for values of the label that are no class and not ignored either.
    """
    classes, device = low_res_logits[0].shape[1], low_res_logits[0].device
    if truth.label is None:
        return np.zeros((classes, classes), np.int64)
    size = truth.label.shape[0], truth.label.shape[1]
    prediction = classes_of(predictor.upsampled_tiles(low_res_logits, image, size), size, device)
    # what metrics.confusion_matrix counts, where the logits are: no prediction leaves the device
    pairs = torch.from_numpy(truth.label).to(device).int().mul_(classes).add_(prediction)
    counted = torch.bincount(pairs.flatten(), minlength=256 * classes)
    counts: Confusion = counted.view(256, classes).cpu().numpy()  # a row for each value that a label can have
    if unknown_ids := (np.flatnonzero(counts[classes:IGNORE].sum(1)) + classes).tolist():
        allowed = f"indices of the {classes} classes, and {IGNORE}"
        raise UserError(
            truth.file, f"the values {unknown_ids[:5]}", allowed, "run `preprocess` for val again"
        )
    return counts[:classes]
