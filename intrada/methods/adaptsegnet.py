"""AdaptSegNet: adversarial alignment of the output space, the softmax maps (CVPR 2018, section 4)."""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.methods.base import AdversarialNetworks, Group, adversarial_losses

NEEDS_TARGET = True
ADVERSARIAL = True


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
) -> Iterator[Group]:
    """Yield the adversarial losses; the discriminators receive softmax maps."""
    return adversarial_losses(networks, source, target, weights, lambda logits: logits.softmax(1))
