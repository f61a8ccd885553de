"""Back-propagation of the losses of one iteration, one group of losses after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType

import torch
from torch import Tensor

from intrada.core.config.training_blocks import Heads, LossWeights
from intrada.data.batch import Batch, MicroBatchWeight
from intrada.methods.base import AdversarialNetworks, Group, Loss, segmentation_losses


def training_step(
    method: ModuleType,
    networks: AdversarialNetworks,
    source: Batch,
    target: Batch | None,
    weights: LossWeights,
) -> dict[str, Tensor]:
    """Back-propagate the losses of a method on a batch or micro-batch; see `back_propagate`."""
    return back_propagate(method.losses(networks, source, target, weights), source.weight)


def back_propagate(groups: Iterable[Group], weight: MicroBatchWeight | None = None) -> dict[str, Tensor]:
    """Back-propagate losses group by group; return the scalar losses by name, unweighted and detached.

    weight: the weight of a micro-batch. It scales the losses so that those of all micro-batches add up to the
    losses of the whole batch. A group in which all losses have weight 0 is not back-propagated.
    """
    record: dict[str, Tensor] = {}
    for group in groups:
        if weight:
            group = group._replace(
                losses={name: _weighted(loss, weight) for name, loss in group.losses.items()}
            )
        record |= _back_propagate(group)
        del group  # frees its graph before the next group is computed
    return record


def _weighted(loss: Loss, weight: MicroBatchWeight) -> Loss:
    own = loss.batch.weight if loss.batch else weight
    if own is None:
        raise ValueError("a batch of the same micro-batch has no weight")
    return loss._replace(value=loss.value * (own.pixels if loss.labelled else own.images))


def _back_propagate(group: Group) -> dict[str, Tensor]:
    losses = group.losses
    if any(loss.weight for loss in losses.values()):
        total: Tensor = sum((loss.weight * loss.value for loss in losses.values()), start=torch.zeros(()))
        trained = [weight for weight in group.network.parameters() if weight.requires_grad]
        total.backward(retain_graph=group.shared, inputs=trained)  # type: ignore[no-untyped-call]
    return {name: loss.value.detach() for name, loss in losses.items()}


def supervised_losses(networks: AdversarialNetworks, batch: Batch, weights: Heads) -> Iterator[Group]:
    """Yield the cross entropy of images that no discriminator sees: supervised_main, supervised_aux."""
    group = segmentation_losses(networks, networks.predict(batch), batch.label, weights)
    yield group._replace(
        losses={name.replace("seg_", "supervised_"): loss for name, loss in group.losses.items()}
    )
