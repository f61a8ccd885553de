"""Time the evaluation with 2048x1024 labels without the forward pass: both sides get ready logits."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn, randn

from benchmarks import Row, baseline, timing
from benchmarks.inferring import CPU, SIZE, InferenceSetup, inference_setup
from benchmarks.streets import CITYSCAPES_SIZE, context
from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.evaluation import evaluator
from intrada.inference.predictor import Predictor
from intrada.models.base import SegmentationModel

IMAGES, TIMES = 4, 3


def measure() -> Row:
    """Return the seconds per image; neither side computes entropies.

    Raises AssertionError if the confusion matrices differ.
    """
    with inference_setup(IMAGES, "val", "val") as setup:
        own, base = (seconds / IMAGES for seconds in _seconds(setup))
    baseline.print_seconds("evaluating an image outside of its forward pass", base)
    return Row("evaluate_rest", own, base, base / own, "s", "at least 8")


def _seconds(setup: InferenceSetup) -> tuple[float, float]:
    count = len(setup.classes)
    ids = {raw: entry.name for raw, entry in CITYSCAPES_IDS.items()}
    table = setup.classes.table(ids).astype(np.int64)
    logits = randn(1, count, SIZE[1] // 8 + 1, SIZE[0] // 8 + 1)
    predictor, network = Predictor([ConstantModel(logits)]), ConstantBaseline(logits)
    counts: dict[str, np.ndarray] = {}

    def ours() -> None:
        size = setup.params.evaluate.batch_size
        (confusions,) = evaluator.measure([predictor], setup.index, size, CPU, context(setup.folder))
        counts["ours"] = confusions.sum(0)

    def theirs() -> None:
        confusions = [
            baseline.evaluate_image(network, *pair, SIZE, CITYSCAPES_SIZE, table, count) for pair in setup.raw
        ]
        counts["theirs"] = np.sum(confusions, axis=0)

    ours()
    theirs()
    medians = timing.medians(ours, theirs, TIMES)
    assert np.array_equal(counts["ours"], counts["theirs"])
    return medians


class ConstantModel(SegmentationModel):
    """Return the same logits for every image, without computing them."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"main": self.logits, "aux": self.logits}

    def normalise(self, images: Tensor) -> Tensor:
        """Convert to float32 and subtract 1, which costs as much as DeepLab-v2's normalisation."""
        return images.float() - 1.0


class ConstantBaseline(nn.Module):
    """The same, with the outputs of the baseline's network."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits, self.logits
