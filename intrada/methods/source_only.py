"""Supervised training on the labelled images alone: the baseline, and self-training where lambda is 1."""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.schema import LossWeights
from intrada.data.loader import Batch
from intrada.methods.base import AdversarialNetworks, Group, segmentation_losses

NEEDS_TARGET = False
ADVERSARIAL = False


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch | None, weights: LossWeights
) -> Iterator[Group]:
    """Cross entropy on `source`; `target` is not looked at."""
    yield segmentation_losses(networks, networks.predict(source), source.label, weights.seg)
