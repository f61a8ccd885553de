"""One pass of a model over the evaluation images: confusion, entropy, easy and hard, samples to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada import files
from intrada.batches import Batch, inference_batches
from intrada.entropy import image_entropy, information_map, pixel_entropy
from intrada.errors import UserError
from intrada.labels import IGNORE
from intrada.methods.base import Nets
from intrada.metrics import Confusion, confusion_matrix, miou, pixel_accuracy
from intrada.models.base import upsample
from intrada.stage import Context
from intrada.tables import EASY, HARD

GREY = [level for level in range(256) for _ in range(3)]


@dataclass(frozen=True)
class Results:
    """entropy (N,) float64 in 0..1 and confusions (N, C, C) int64 of the images, in the index's order.

    The confusion matrix of an image without a label is all zero.
    """

    entropy: NDArray[np.float64]
    confusions: Confusion


@torch.inference_mode()
def measure(
    nets: Nets, index: pd.DataFrame, batch_size: int, device: torch.device, context: Context
) -> Results:
    """Entropy at the network's input size, confusion at each label's own size.

    Logits are upsampled to the label (bilinear, align_corners) before argmax, as in the published code.
    """
    rows = {str(name): place for place, name in enumerate(index["id"])}
    entropy = np.zeros(len(index))
    confusions: list[Confusion] = [np.empty(0, np.int64)] * len(index)
    batches = inference_batches(index, batch_size)
    for batch in context.progress(batches, -(-len(index) // batch_size), "batch"):
        logits = _logits(nets, batch.to(device))
        full = upsample(logits, (batch.image.shape[2], batch.image.shape[3]))
        scores = image_entropy(information_map(full)).tolist()
        for name, score, each in zip(batch.ids, scores, logits, strict=True):
            row = rows[name]
            entropy[row] = score
            confusions[row] = _confusion(each, str(index["label"].iloc[row]))
    return Results(entropy, np.stack(confusions))


def with_difficulty(index: pd.DataFrame, entropy: NDArray[np.float64]) -> pd.DataFrame:
    """The index with `entropy` and `part`: the third with the highest entropy is hard, the rest easy."""
    hard = np.argsort(-entropy, kind="stable")[: round(len(index) / 3)]
    part = np.full(len(index), EASY)
    part[hard] = HARD
    return index.assign(entropy=entropy, part=part)


def summary(confusions: Confusion, part: pd.Series) -> dict[str, float | None]:
    """Percent, flat, for `dvc metrics show`; None where no labelled pixel says anything."""
    total = confusions.sum(0)
    values = {
        "mIoU": miou(total),
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
    nets: Nets, chosen: pd.DataFrame, folder: Path, palette: list[int], device: torch.device
) -> None:
    """prediction/<id>.png (class indices, in colours) and entropy/<id>.png (grey, 255 = 1) in `folder`."""
    for batch in inference_batches(chosen, 1):
        logits = nets.predict(batch.to(device))["main"]
        entropy = pixel_entropy(information_map(logits))[0].cpu().numpy()
        prediction = logits[0].argmax(0).to(torch.uint8).cpu().numpy()
        files.write_label(folder / "prediction" / f"{batch.ids[0]}.png", prediction, palette)
        grey = np.rint(255 * entropy).astype(np.uint8)
        files.write_label(folder / "entropy" / f"{batch.ids[0]}.png", grey, GREY)


def _logits(nets: Nets, batch: Batch) -> Tensor:
    logits: dict[str, Tensor] = nets.segmenter(nets.segmenter.normalise(batch.image))
    return logits["main"]


def _confusion(logits: Tensor, label: str) -> Confusion:
    """Confusion of one image: logits (C, h, w) against the label at its own size, zero without one."""
    classes = logits.shape[0]
    if not label:
        return np.zeros((classes, classes), np.int64)
    truth = files.read_label(Path(label))
    if strangers := sorted(set(np.unique(truth).tolist()) - {*range(classes), IGNORE}):
        allowed = f"indices of the {classes} classes, and {IGNORE}"
        raise UserError(label, f"the values {strangers[:5]}", allowed, "run `preprocess` for val again")
    prediction = upsample(logits[None], (truth.shape[0], truth.shape[1]))[0].argmax(0)
    return confusion_matrix(truth, prediction.cpu().numpy(), classes)
