"""What the methods share: the networks of the game and the supervised part of every objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from intrada.batches import Batch
from intrada.losses import cross_entropy
from intrada.models.base import Segmenter, upsample
from intrada.params import Heads


class Loss(NamedTuple):
    """A scalar loss and its weight in the objective; logs show the loss without its weight."""

    value: Tensor
    weight: float


Losses = dict[str, Loss]


@dataclass(frozen=True)
class Nets:
    """The segmentation network G and one discriminator D for each of its heads (none: no adversary)."""

    segmenter: Segmenter
    discriminators: nn.ModuleDict

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Logits of each head at the size of the images: {"main", "aux"}, (N, C, H, W)."""
        height, width = batch.image.shape[2:]
        logits = self.segmenter(self.segmenter.normalise(batch.image))
        return {head: upsample(values, (height, width)) for head, values in logits.items()}


def supervised(logits: Mapping[str, Tensor], label: Tensor, weights: Heads) -> Losses:
    """Cross entropy of each head: CE(main) + 0.1 CE(aux) in the paper (AdvEnt, section 3)."""
    return {
        f"seg_{head}": Loss(cross_entropy(values, label), getattr(weights, head))
        for head, values in logits.items()
    }
