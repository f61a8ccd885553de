"""MinEnt: direct minimisation of the entropy of target predictions (AdvEnt, CVPR 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator

from intrada.core.config.training_blocks import LossWeights
from intrada.data.batch import Batch
from intrada.methods.base import AdversarialNetworks, Group, Loss, segmentation_losses
from intrada.methods.entropy import information_map
from intrada.methods.losses import minent

NEEDS_TARGET = True
ADVERSARIAL = False


def losses(
    networks: AdversarialNetworks, source: Batch, target: Batch, weights: LossWeights
) -> Iterator[Group]:
    """Yield the cross entropy on `source`, then the mean pixel entropy of `target`."""
    yield segmentation_losses(networks, networks.predict(source), source.label, weights.seg)
    entropies = {
        f"entropy_{head}": Loss(minent(information_map(values)), getattr(weights.target, head))
        for head, values in networks.predict(target).items()
    }
    yield Group(entropies, networks.segmenter)
