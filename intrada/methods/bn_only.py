"""Control experiment for batch normalisation: target batches only update the running statistics.

Every adversarial method also runs the target batches through the network in train mode, which moves the
running statistics towards those of the target. This method does only that. The tables list it next to
AdvEnt, so that this part of a gain is not credited to the discriminators.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.methods.base import AdversarialNetworks, Group, segmentation_losses

NEEDS_TARGET = True
ADVERSARIAL = False


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
) -> Iterator[Group]:
    """Yield the cross entropy on `source`, then run one forward pass of `target` without gradient."""
    yield segmentation_losses(networks, networks.predict(source), source.label, weights.seg)
    with torch.no_grad():
        networks.predict(target)
