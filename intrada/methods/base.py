"""What the methods share: the networks, the supervised part of every objective, the adversarial game."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from intrada.batches import Batch
from intrada.losses import SOURCE, TARGET, called, cross_entropy
from intrada.models.base import Segmenter, upsample
from intrada.params import Heads, LossWeights


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


def play_game(
    nets: Nets, source: Batch, target: Batch, weights: LossWeights, view: Callable[[Tensor], Tensor]
) -> Iterator[Losses]:
    """The game of AdaptSegNet and AdvEnt, in groups of losses.

    Supervised on `source`; G makes D call `target` source; D learns to tell the two apart.

    view: logits (N, C, H, W) -> the map of the same shape that D sees. G's second group must not reach
    D's weights, so D is frozen for it; D's groups see detached maps.
    """
    judges = nets.discriminators
    logits = nets.predict(source)
    source_maps = {head: view(values.detach()) for head, values in logits.items()}
    yield supervised(logits, source.label, weights.seg)
    del logits

    target_maps = {head: view(values) for head, values in nets.predict(target).items()}
    judges.requires_grad_(False)
    yield {
        f"fool_{head}": Loss(called(judges[head](values), SOURCE), getattr(weights.target, head))
        for head, values in target_maps.items()
    }
    judges.requires_grad_(True)

    for name, maps, domain in (("source", source_maps, SOURCE), ("target", target_maps, TARGET)):
        yield {
            f"judge_{name}_{head}": Loss(called(judges[head](values.detach()), domain), 0.5)
            for head, values in maps.items()
        }
