"""What the methods share: the networks, the supervised part of every objective, the adversarial game."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from intrada.core.config.schema import Heads, LossWeights
from intrada.core.distributed.device import autocast
from intrada.data.loader import Batch
from intrada.methods.losses import SOURCE, TARGET, called, cross_entropy
from intrada.models.base import Segmenter, upsample
from intrada.models.frozen_bn_stats import Kept


class Loss(NamedTuple):
    """A scalar loss and its weight in the objective; logs show the loss without its weight.

    labelled: whether it is a mean over the labelled pixels of a batch; if not, a mean over its images. A
    batch that is computed in parts is put together again by it.
    """

    value: Tensor
    weight: float
    labelled: bool = False


Losses = dict[str, Loss]


class Group(NamedTuple):
    """Losses that are added and back-propagated at once, into the weights of one network alone.

    shared: part of their graph belongs to a later group too.
    """

    losses: Losses
    network: nn.Module
    shared: bool = False


@dataclass(frozen=True)
class Nets:
    """The segmentation network G and one discriminator D for each of its heads (none: no adversary).

    bf16: convolutions take and give bfloat16 (autocast); losses and maps are float32 all the same.
    """

    segmenter: Segmenter
    discriminators: nn.ModuleDict
    bf16: bool = False

    def predict(self, batch: Batch) -> dict[str, Tensor]:
        """Logits of each head at the size of the images: {"main", "aux"}, (N, C, H, W)."""
        height, width = batch.image.shape[2:]
        images = self.segmenter.normalise(batch.image)
        follow = nullcontext() if batch.followed else Kept(self.segmenter)
        with autocast(images.device, self.bf16), follow:
            logits = self.segmenter(images)
        return {
            head: upsample(_wide(values).contiguous(), (height, width)) for head, values in logits.items()
        }

    def judge(self, head: str, maps: Tensor) -> Tensor:
        """Raw verdicts of the head's discriminator on its maps (N, C, H, W)."""
        with autocast(maps.device, self.bf16):
            return _wide(self.discriminators[head](maps))


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.bfloat16 else values


def supervised(nets: Nets, logits: Mapping[str, Tensor], label: Tensor, weights: Heads) -> Group:
    """Cross entropy of each head: CE(main) + 0.1 CE(aux) in the paper (AdvEnt, section 3)."""
    losses = {
        f"seg_{head}": Loss(cross_entropy(values, label), getattr(weights, head), labelled=True)
        for head, values in logits.items()
    }
    return Group(losses, nets.segmenter)


def play_game(
    nets: Nets, source: Batch, target: Batch, weights: LossWeights, view: Callable[[Tensor], Tensor]
) -> Iterator[Group]:
    """The game of AdaptSegNet and AdvEnt, in groups of losses.

    Supervised on `source`; G makes D call `target` source; D learns to tell the two apart.

    view: logits (N, C, H, W) -> the map of the same shape that D sees. What D says of `target` is asked
    once, for G's second group and for D's own.
    """
    judges = nets.discriminators
    logits = nets.predict(source)
    source_maps = {head: view(values.detach()) for head, values in logits.items()}
    yield supervised(nets, logits, source.label, weights.seg)
    del logits

    predicted = nets.predict(target)
    verdicts = {head: nets.judge(head, view(values)) for head, values in predicted.items()}
    fool = {
        f"fool_{head}": Loss(called(verdict, SOURCE), getattr(weights.target, head))
        for head, verdict in verdicts.items()
    }
    yield Group(fool, nets.segmenter, shared=True)
    yield Group(_judged("target", verdicts, TARGET), judges)
    del predicted, verdicts, fool

    verdicts = {head: nets.judge(head, maps) for head, maps in source_maps.items()}
    yield Group(_judged("source", verdicts, SOURCE), judges)


def _judged(name: str, verdicts: Mapping[str, Tensor], domain: float) -> Losses:
    return {f"judge_{name}_{head}": Loss(called(verdict, domain), 0.5) for head, verdict in verdicts.items()}
