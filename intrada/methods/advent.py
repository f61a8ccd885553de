"""AdvEnt: adversarial alignment of weighted self-information maps (CVPR 2019, section 3.2).

IntraDA uses it twice: source against target, then easy against hard (CVPR 2020, equations 1-3, 5-7).
"""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.methods.base import AdversarialNetworks, Group, adversarial_losses
from intrada.methods.entropy import information_map

NEEDS_TARGET = True
ADVERSARIAL = True


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
) -> Iterator[Group]:
    """Yield the adversarial losses; the discriminators receive self-information maps."""
    return adversarial_losses(networks, source, target, weights, information_map)
