"""Evaluation against labels of 2048x1024 without its forward pass: both sides are given the logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import Row, baseline, timing
from benchmarks.streets import CITYSCAPES_SIZE, context, prepared, workplace, write_cityscapes
from intrada import evaluation, labels, params_file
from intrada.inference import Predictor
from intrada.models.base import Segmenter

PRESET = Path("presets/gta5_to_cityscapes.yaml")
SIZE = (1024, 512)
IMAGES, TIMES = 4, 3
CPU = torch.device("cpu")


def measure() -> Row:
    """Seconds an image, the baseline's over ours. Ours has the entropies as well; the counts are equal."""
    params = params_file.load(PRESET)
    torch.set_num_threads(params.compute.threads)
    classes = labels.class_set(params.classes)
    table = classes.table({raw: entry.name for raw, entry in labels.CITYSCAPES_IDS.items()}).astype(np.int64)
    logits = torch.randn(1, len(classes), SIZE[1] // 8 + 1, SIZE[0] // 8 + 1)
    with workplace() as folder:
        raw = write_cityscapes(folder / "raw", IMAGES, "val")
        index = prepared(params, "val", folder / "raw", folder)
        predictor, network = Predictor([Instant(logits)]), Pair(logits)
        counts: dict[str, np.ndarray] = {}

        def ours() -> None:
            size = params.evaluate.batch_size
            (results,) = evaluation.measure([predictor], index, size, CPU, context(folder))
            counts["ours"] = results.confusions.sum(0)

        def theirs() -> None:
            counts["theirs"] = np.sum(
                [
                    baseline.evaluate_image(network, *pair, SIZE, CITYSCAPES_SIZE, table, len(classes))
                    for pair in raw
                ],
                axis=0,
            )

        ours()
        theirs()
        seconds = timing.medians(ours, theirs, TIMES)
    assert np.array_equal(counts["ours"], counts["theirs"])
    here, there = (each / IMAGES for each in seconds)
    baseline.tell("evaluating an image outside of its forward pass", there)
    return Row("evaluate_rest", here, there, there / here, "s", "at least 8")


class Instant(Segmenter):
    """Has the logits ready, of whatever image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"main": self.logits, "aux": self.logits}

    def normalise(self, images: Tensor) -> Tensor:
        """What DeepLab-v2 does, but for the means."""
        return images.float() - 1.0


class Pair(nn.Module):
    """The same as the baseline's network returns it."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits, self.logits
