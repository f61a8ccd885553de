"""Evaluation against labels of 2048x1024 without its forward pass: both sides are given the logits."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn, randn

from benchmarks import Row, baseline, timing
from benchmarks.inferring import CPU, SIZE, Setting, setting
from benchmarks.streets import CITYSCAPES_SIZE, context
from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.evaluation import evaluator
from intrada.inference.predictor import Predictor
from intrada.models.base import SegmentationModel

IMAGES, TIMES = 4, 3


def measure() -> Row:
    """Seconds an image, the baseline's over ours. Neither computes entropies; the counts are equal."""
    with setting(IMAGES, "val", "val") as given:
        here, there = (each / IMAGES for each in _seconds(given))
    baseline.tell("evaluating an image outside of its forward pass", there)
    return Row("evaluate_rest", here, there, there / here, "s", "at least 8")


def _seconds(given: Setting) -> tuple[float, float]:
    count = len(given.classes)
    ids = {raw: entry.name for raw, entry in CITYSCAPES_IDS.items()}
    table = given.classes.table(ids).astype(np.int64)
    logits = randn(1, count, SIZE[1] // 8 + 1, SIZE[0] // 8 + 1)
    predictor, network = Predictor([Instant(logits)]), Pair(logits)
    counts: dict[str, np.ndarray] = {}

    def ours() -> None:
        size = given.params.evaluate.batch_size
        (results,) = evaluator.measure([predictor], given.index, size, CPU, context(given.folder), False)
        counts["ours"] = results.confusions.sum(0)

    def theirs() -> None:
        each = [
            baseline.evaluate_image(network, *pair, SIZE, CITYSCAPES_SIZE, table, count) for pair in given.raw
        ]
        counts["theirs"] = np.sum(each, axis=0)

    ours()
    theirs()
    found = timing.medians(ours, theirs, TIMES)
    assert np.array_equal(counts["ours"], counts["theirs"])
    return found


class Instant(SegmentationModel):
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
