"""The control for batch normalisation: target batches pass through the network, nothing is asked of them.

In train mode each pass moves the running statistics towards the target's. What this alone gains is no
merit of an adversary, so it stands beside AdvEnt in every table.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from intrada.core.config.schema import LossWeights
from intrada.data.loader import Batch
from intrada.methods.base import AdversarialNetworks, Group, segmentation_losses

NEEDS_TARGET = True
ADVERSARIAL = False


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
) -> Iterator[Group]:
    """Cross entropy on `source`, then one forward pass of `target` without gradient."""
    yield segmentation_losses(networks, networks.predict(source), source.label, weights.seg)
    with torch.no_grad():
        networks.predict(target)
