"""One pass of a model over the evaluation images: confusion, entropy, easy and hard, samples to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada import files
from intrada.batches import counted_batches, inference_batches
from intrada.entropy import image_entropy, information_map, pixel_entropy
from intrada.errors import UserError
from intrada.inference import Predictor
from intrada.labels import IGNORE, ClassSet, reported
from intrada.metrics import Confusion, confusion_matrix, miou, pixel_accuracy
from intrada.stage import Context
from intrada.tables import EASY, HARD


@dataclass(frozen=True)
class Results:
    """entropy (N,) float64 in 0..1 and confusions (N, C, C) int64 of the images, in the index's order.

    The confusion matrix of an image without a label is all zero.
    """

    entropy: NDArray[np.float64]
    confusions: Confusion


@torch.inference_mode()
def measure(
    predictors: Sequence[Predictor],
    index: pd.DataFrame,
    batch_size: int,
    device: torch.device,
    context: Context,
) -> list[Results]:
    """Entropy at the network's input size, confusion at each label's own size, of each predictor.

    Every image is read once. Logits are upsampled to the label (bilinear, align_corners) before argmax,
    as in the published code.
    """
    rows = {str(name): place for place, name in enumerate(index["id"])}
    entropy = np.zeros((len(predictors), len(index)))
    confusions = [[np.empty(0, np.int64)] * len(index) for _ in predictors]
    for batch in context.progress(*counted_batches(index, batch_size), "batch"):
        places = [rows[name] for name in batch.ids]
        labels = [str(index["label"].iloc[place]) for place in places]
        batch = batch.to(device)
        truths: list[NDArray[np.uint8] | None] = []
        for number, predictor in enumerate(predictors):
            maps = predictor.maps(batch)
            truths = truths or [_truth(label, maps[0].shape[1]) for label in labels]
            full = predictor.at(maps, (batch.image.shape[2], batch.image.shape[3]))
            entropy[number, places] = image_entropy(information_map(full)).cpu().numpy()
            for image, (place, truth) in enumerate(zip(places, truths, strict=True)):
                confusions[number][place] = _confusion(predictor, maps, image, truth)
    return [Results(each, np.stack(found)) for each, found in zip(entropy, confusions, strict=True)]


def with_difficulty(index: pd.DataFrame, entropy: NDArray[np.float64]) -> pd.DataFrame:
    """The index with `entropy` and `part`: the third with the highest entropy is hard, the rest easy."""
    hard = np.argsort(-entropy, kind="stable")[: round(len(index) / 3)]
    part = np.full(len(index), EASY)
    part[hard] = HARD
    return index.assign(entropy=entropy, part=part)


def summary(confusions: Confusion, part: pd.Series, classes: ClassSet) -> dict[str, float | None]:
    """Percent, flat, for `dvc metrics show`; None where no labelled pixel says anything.

    mIoU_19, mIoU_16 and mIoU_13, over the classes that papers report, stand there where `classes` has
    them all.
    """
    total = confusions.sum(0)
    values = {
        "mIoU": miou(total),
        **{f"mIoU_{count}": miou(total, only) for count, only in reported(classes).items()},
        "mIoU_easy": miou(confusions[(part == EASY).to_numpy()].sum(0)),
        "mIoU_hard": miou(confusions[(part == HARD).to_numpy()].sum(0)),
        "pixel_accuracy": pixel_accuracy(total),
    }
    return {name: None if math.isnan(value) else 100 * value for name, value in values.items()}


def easiest_and_hardest(images: pd.DataFrame, count: int) -> pd.DataFrame:
    """Up to `count` images with the lowest and as many with the highest entropy, each once."""
    order = images.sort_values("entropy", kind="stable")
    return pd.concat([order.head(count), order.tail(count)]).drop_duplicates("id")


@torch.inference_mode()
def write_samples(
    predictor: Predictor, chosen: pd.DataFrame, folder: Path, palette: list[int], device: torch.device
) -> None:
    """prediction/<id>.png (class indices, in colours) and entropy/<id>.png (grey, 255 = 1) in `folder`."""
    for batch in inference_batches(chosen, 1):
        logits = predictor.predict(batch.to(device))
        entropy = pixel_entropy(information_map(logits))[0].cpu().numpy()
        prediction = logits[0].argmax(0).to(torch.uint8).cpu().numpy()
        files.write_label(folder / "prediction" / f"{batch.ids[0]}.png", prediction, palette)
        grey = np.rint(255 * entropy).astype(np.uint8)
        files.write_label(folder / "entropy" / f"{batch.ids[0]}.png", grey, files.GREY)


def _truth(label: str, classes: int) -> NDArray[np.uint8] | None:
    """The label map, None without one; UserError for values that are no class and not ignored either."""
    if not label:
        return None
    truth = files.read_label(Path(label))
    if strangers := sorted(set(np.unique(truth).tolist()) - {*range(classes), IGNORE}):
        allowed = f"indices of the {classes} classes, and {IGNORE}"
        raise UserError(label, f"the values {strangers[:5]}", allowed, "run `preprocess` for val again")
    return truth


def _confusion(
    predictor: Predictor, maps: Sequence[Tensor], image: int, truth: NDArray[np.uint8] | None
) -> Confusion:
    """Confusion of one image of a batch against its label at its own size, zero without one."""
    classes = maps[0].shape[1]
    if truth is None:
        return np.zeros((classes, classes), np.int64)
    one = [each[image : image + 1] for each in maps]
    prediction = predictor.at(one, (truth.shape[0], truth.shape[1]))[0].argmax(0)
    return confusion_matrix(truth, prediction.cpu().numpy(), classes)
