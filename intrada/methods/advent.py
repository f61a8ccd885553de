"""AdvEnt: adversarial alignment of weighted self-information maps (CVPR 2019, section 3.2).

IntraDA plays it twice: source against target, then easy against hard (CVPR 2020, equations 1-3, 5-7).
"""

from __future__ import annotations

from collections.abc import Iterator

from intrada.batches import Batch
from intrada.entropy import information_map
from intrada.losses import SOURCE, TARGET, called
from intrada.methods.base import Loss, Losses, Nets, supervised
from intrada.params import LossWeights

NEEDS_TARGET = True
ADVERSARIAL = True


def losses(nets: Nets, source: Batch, target: Batch, weights: LossWeights) -> Iterator[Losses]:
    """Supervised on `source`; G makes D call `target` source; D learns to tell them apart.

    G's second group must not reach D's weights, so D is frozen for it; D's groups see detached maps.
    """
    judges = nets.discriminators
    logits = nets.predict(source)
    source_maps = {head: information_map(values.detach()) for head, values in logits.items()}
    yield supervised(logits, source.label, weights.seg)
    del logits

    target_maps = {head: information_map(values) for head, values in nets.predict(target).items()}
    judges.requires_grad_(False)
    yield {
        f"fool_{head}": Loss(called(judges[head](values), SOURCE), getattr(weights.fool, head))
        for head, values in target_maps.items()
    }
    judges.requires_grad_(True)

    for name, maps, domain in (("source", source_maps, SOURCE), ("target", target_maps, TARGET)):
        yield {
            f"judge_{name}_{head}": Loss(called(judges[head](values.detach()), domain), 0.5)
            for head, values in maps.items()
        }
