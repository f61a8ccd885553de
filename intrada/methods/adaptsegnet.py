"""AdaptSegNet: adversarial alignment of the output space, the softmax maps (CVPR 2018, section 4)."""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.schema import LossWeights
from intrada.data.loader import Batch
from intrada.methods.base import Group, Nets, play_game

NEEDS_TARGET = True
ADVERSARIAL = True


def losses(nets: Nets, source: Batch, target: Batch, weights: LossWeights) -> Iterator[Group]:
    """The game on softmax maps."""
    return play_game(nets, source, target, weights, lambda logits: logits.softmax(1))
