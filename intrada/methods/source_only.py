"""Supervised training on the labelled images alone: the baseline, and self-training where lambda is 1."""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.schema import LossWeights
from intrada.data.loader import Batch
from intrada.methods.base import Group, Nets, supervised

NEEDS_TARGET = False
ADVERSARIAL = False


def losses(nets: Nets, source: Batch, target: Batch | None, weights: LossWeights) -> Iterator[Group]:
    """Cross entropy on `source`; `target` is not looked at."""
    yield supervised(nets, nets.predict(source), source.label, weights.seg)
