from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intrada.batches import Batch
from intrada.inference import Predictor
from intrada.models.base import Segmenter

IMAGE = Batch(["a"], torch.zeros((1, 3, 1, 1), dtype=torch.uint8), torch.zeros((1, 1, 1), dtype=torch.int64))


class Says(Segmenter):
    """The same logits of three classes for the one pixel."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits).view(1, 3, 1, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"main": self.logits, "aux": self.logits}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


def says(combine: str, *shares: float) -> Tensor:
    """One model is very sure of class 0, the other prefers class 1 a little."""
    members = [Says(9.0, 0.0, 0.0), Says(0.0, 2.0, 1.0)]
    return Predictor(members, shares, combine).predict(IMAGE).flatten()


def test_probabilities_are_averaged_by_their_weights() -> None:
    one, two = torch.tensor([9.0, 0.0, 0.0]).softmax(0), torch.tensor([0.0, 2.0, 1.0]).softmax(0)
    assert torch.allclose(says("probabilities", 0.25, 0.75).softmax(0), 0.25 * one + 0.75 * two)


def test_logits_are_averaged_as_the_published_code_does() -> None:
    assert says("logits", 0.25, 0.75).tolist() == pytest.approx([2.25, 1.5, 0.75])


def test_the_two_ways_differ_where_one_model_is_very_sure() -> None:
    assert says("probabilities", 0.3, 0.7).argmax() == 1
    assert says("logits", 0.3, 0.7).argmax() == 0


def test_a_probability_of_0_has_a_finite_logarithm() -> None:
    far = Predictor([Says(200.0, 0.0, 0.0), Says(200.0, 0.0, 0.0)], (0.5, 0.5)).predict(IMAGE)
    assert far.isfinite().all() and far.softmax(1).flatten().tolist() == pytest.approx([1, 0, 0])


def test_one_model_alone_keeps_its_logits() -> None:
    assert Predictor([Says(9.0, 0.0, 0.0)]).predict(IMAGE).flatten().tolist() == [9.0, 0.0, 0.0]
