"""Shared by the methods: the networks, the supervised losses and the adversarial losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from intrada.core.config.self_training import SelfTraining
from intrada.core.config.training_blocks import Heads, LossWeights
from intrada.core.distributed.device import autocast
from intrada.data.batch import Batch
from intrada.data.train_batches import TrainBatch
from intrada.methods.losses import SOURCE, TARGET, cross_entropy, domain_bce
from intrada.models.base import SegmentationModel, upsample
from intrada.models.frozen_bn_stats import FrozenBNStats


class Loss(NamedTuple):
    """A scalar loss and its weight in the objective. The loss is logged without its weight.

    labelled: True for a mean over the labelled pixels of a batch, False for a mean over its images. It
    selects the weight of a micro-batch when gradients are accumulated. batch: the batch with these labelled
    pixels; None: the source batch.
    """

    value: Tensor
    weight: float
    labelled: bool = False
    batch: Batch | None = None


Losses = dict[str, Loss]


class Group(NamedTuple):
    """Losses that are added and back-propagated together, into the weights of `network` only.

    shared: retain the graph, because a later group uses parts of it.
    """

    losses: Losses
    network: nn.Module
    shared: bool = False


class Teacher(Protocol):
    """A network that labels each target batch; what the training loop and the method use of it.

    Its class is in a module of the method alone, so that no other method depends on its code.
    """

    settings: SelfTraining
    network: SegmentationModel

    def copies(self) -> list[SegmentationModel]:
        """Return all networks that it has."""

    def label(self, batch: TrainBatch, iteration: int) -> TrainBatch:
        """Return the batch with `target.view` in iteration 0, 1, ..."""

    def update(self, student: nn.Module, iteration: int) -> None:
        """Update the network from the student after 1, 2, ... iterations."""

    def feature_distance(self, features: Tensor, source: Batch) -> Tensor:
        """Return the distance of features of the images of `source` to the initial ones, a scalar."""


@dataclass(frozen=True)
class AdversarialNetworks:
    """The segmentation network G and one discriminator D for each of its heads.

    discriminators: by the name of the head, "main" and "aux"; empty for a method without discriminators.
    bf16: run the convolutions in bfloat16 (autocast). Losses and maps stay float32. teacher: of the method
    mean_teacher.
    """

    segmenter: SegmentationModel
    discriminators: nn.ModuleDict
    bf16: bool = False
    teacher: Teacher | None = None

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Return the logits of each head, "main" and "aux": (N, C, H, W) float32, H x W as the images."""
        height, width = batch.image.shape[2:]
        images = self.segmenter.normalise(batch.image)
        bn_stats = nullcontext() if batch.update_bn_stats else FrozenBNStats(self.segmenter)
        with autocast(images.device, self.bf16), bn_stats:
            logits = self.segmenter(images)
        return {
            head: upsample(_float32(values).contiguous(), (height, width)) for head, values in logits.items()
        }

    def by_name(self) -> dict[str, nn.Module]:
        """Return the networks by their names in error messages."""
        return {"segmenter": self.segmenter, "discriminators": self.discriminators}

    def discriminate(self, head: str, maps: Tensor) -> Tensor:
        """Return the raw logits (N, 1, H/32, W/32) of the head's discriminator for maps (N, C, H, W)."""
        with autocast(maps.device, self.bf16):
            return _float32(self.discriminators[head](maps))


def _float32(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.bfloat16 else values


def segmentation_losses(
    networks: AdversarialNetworks, logits: Mapping[str, Tensor], label: Tensor, weights: Heads
) -> Group:
    """Return the cross entropy of each head as one group: CE(main) + 0.1 CE(aux) in the paper.

    logits (N, C, H, W) of each head; label (N, H, W) int64. Source: AdvEnt (CVPR 2019), section 3.
    """
    losses = {
        f"seg_{head}": Loss(cross_entropy(values, label), getattr(weights, head), labelled=True)
        for head, values in logits.items()
    }
    return Group(losses, networks.segmenter)


def adversarial_losses(
    networks: AdversarialNetworks,
    source: Batch,
    target: Batch,
    weights: LossWeights,
    to_map: Callable[[Tensor], Tensor],
) -> Iterator[Group]:
    """Yield the losses of AdaptSegNet and AdvEnt, one group for each back-propagation.

    G learns the labels of `source` and learns to make D classify `target` as source. D learns to separate
    the two domains. D's logits for `target` are computed once, for G's adversarial losses and for D's own.

    to_map: logits (N, C, H, W) -> the map of the same shape that D receives.
    """
    logits = networks.predict(source)
    source_maps = {head: to_map(values.detach()) for head, values in logits.items()}
    yield segmentation_losses(networks, logits, source.label, weights.seg)
    del logits
    yield from alignment_losses(networks, source_maps, networks.predict(target), weights.target, to_map)


def alignment_losses(
    networks: AdversarialNetworks,
    source_maps: Mapping[str, Tensor],
    predicted: dict[str, Tensor],
    weights: Heads,
    to_map: Callable[[Tensor], Tensor],
    others: Losses | None = None,
) -> Iterator[Group]:
    """Yield G's adversarial losses, D's losses on the target and D's losses on the source.

    source_maps: D's input for the source images by head, without gradient; predicted: the logits of the
    target images by head, (N, C, H, W), with gradient; others: losses with the same graph as `predicted`,
    which are back-propagated together with the adversarial losses.
    """
    discriminators = networks.discriminators
    d_logits = {head: networks.discriminate(head, to_map(values)) for head, values in predicted.items()}
    adversarial = {
        f"adv_{head}": Loss(domain_bce(values, SOURCE), getattr(weights, head))
        for head, values in d_logits.items()
    }
    yield Group((others or {}) | adversarial, networks.segmenter, shared=True)
    yield Group(_discriminator_losses("target", d_logits, TARGET), discriminators)
    del predicted, d_logits, adversarial, others

    d_logits = {head: networks.discriminate(head, maps) for head, maps in source_maps.items()}
    yield Group(_discriminator_losses("source", d_logits, SOURCE), discriminators)


def _discriminator_losses(name: str, d_logits: Mapping[str, Tensor], domain: float) -> Losses:
    return {f"d_{name}_{head}": Loss(domain_bce(values, domain), 0.5) for head, values in d_logits.items()}
