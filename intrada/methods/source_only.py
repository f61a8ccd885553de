"""Supervised training on the source images only.

With ground truth it is the baseline without adaptation. With pseudo-labels it is self-training, which
replaces step 3 of IntraDA where every target image is easy (lambda = 1).
"""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.methods.base import AdversarialNetworks, Group, segmentation_losses

NEEDS_TARGET = False
ADVERSARIAL = False


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch | None, weights: LossWeights
) -> Iterator[Group]:
    """Yield the cross entropy on `source`. `target` is not used."""
    yield segmentation_losses(networks, networks.predict(source), source.label, weights.seg)
