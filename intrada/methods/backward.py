"""The objective of an iteration, back-propagated: group by group, and part by part of its batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType

import torch
from torch import Tensor

from intrada.core.config.schema import Heads, LossWeights
from intrada.data.loader import Batch, Share
from intrada.methods.base import Group, Loss, Nets, supervised


def play(
    way: ModuleType, nets: Nets, source: Batch, target: Batch | None, weights: LossWeights
) -> dict[str, Tensor]:
    """One iteration of a method, or a part of one: `back_propagate` its losses, by the share of `source`."""
    return back_propagate(way.losses(nets, source, target, weights), source.share)


def back_propagate(groups: Iterable[Group], share: Share | None = None) -> dict[str, Tensor]:
    """Back-propagate losses group by group; returns them unweighted, by name, detached.

    share: of a part of a batch: its losses are made summands of the whole batch's. A group without any
    weight is recorded only.
    """
    record: dict[str, Tensor] = {}
    for group in groups:
        if share:
            group = group._replace(losses={name: _part(loss, share) for name, loss in group.losses.items()})
        record |= _back_propagate(group)
        del group  # so that the next group begins with this one's graph gone
    return record


def _part(loss: Loss, share: Share) -> Loss:
    return loss._replace(value=loss.value * (share.pixels if loss.labelled else share.images))


def _back_propagate(group: Group) -> dict[str, Tensor]:
    losses = group.losses
    if any(loss.weight for loss in losses.values()):
        total: Tensor = sum((loss.weight * loss.value for loss in losses.values()), start=torch.zeros(()))
        trained = [weight for weight in group.network.parameters() if weight.requires_grad]
        total.backward(retain_graph=group.shared, inputs=trained)  # type: ignore[no-untyped-call]
    return {name: loss.value.detach() for name, loss in losses.items()}


def extra_losses(nets: Nets, batch: Batch, weights: Heads) -> Iterator[Group]:
    """Cross entropy of labelled images that no discriminator sees: extra_main, extra_aux."""
    group = supervised(nets, nets.predict(batch), batch.label, weights)
    yield group._replace(losses={name.replace("seg_", "extra_"): each for name, each in group.losses.items()})
