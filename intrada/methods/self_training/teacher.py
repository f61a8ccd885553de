"""The online teacher: a moving average of the student, which labels each target batch for it.

Sources: Mean Teacher (Tarvainen and Valpola, NeurIPS 2017), section 2, for the average; DACS (Tranheden et
al., WACV 2021), section 3, for pseudo-labels of each batch, mixing and the student's view; MIC (Hoyer et al.,
CVPR 2023), section 3.2, for masked images.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from intrada.core import seeding
from intrada.core.config.classes import IGNORE, ClassSet
from intrada.core.config.self_training import SelfTraining
from intrada.core.distributed.device import autocast
from intrada.core.distributed.process_group import ProcessGroup
from intrada.core.errors import UserError
from intrada.data.batch import Batch, StudentView
from intrada.data.photometric import photometric
from intrada.data.train_batches import TrainBatch
from intrada.methods.self_training import class_mix, feature_distance, masking
from intrada.methods.self_training.confidence import PseudoLabel, pseudo_label
from intrada.models import ema
from intrada.models.base import SegmentationModel, upsample
from intrada.models.frozen_bn_stats import FrozenBNStats


class Teacher:
    """A moving average of the student's parameters, and what it computes for each batch.

    student: the network at the start of the training, on its device; seed: of the random numbers, which
    depend on it and on the position of an image in the stream of target images only, so that they are the
    same after a resume, with any number of processes and micro-batches. bf16: as in AdversarialNetworks.
    initial: the network at the start of the training, if its features are compared; else None.
    """

    def __init__(
        self,
        student: SegmentationModel,
        settings: SelfTraining,
        classes: ClassSet,
        seed: int,
        process_group: ProcessGroup,
        bf16: bool,
    ) -> None:
        self.settings, self.seed, self.process_group, self.bf16 = settings, seed, process_group, bf16
        self.classes = len(classes)
        self.network = _frozen(student, settings.batch_norm)
        self.initial: SegmentationModel | None = None
        if distance := settings.feature_distance:
            self.initial = _frozen(student, settings.batch_norm)
            device = next(student.parameters()).device
            indices = [classes.index(name) for name in distance.classes]
            self.things = torch.tensor(indices, device=device)

    def copies(self) -> list[SegmentationModel]:
        """Return all networks that it has: its own and, for the feature distance, the initial one."""
        return [self.network, *([self.initial] if self.initial else [])]

    def update(self, student: nn.Module, iteration: int) -> None:
        """Update the network from the student after `iteration` = 1, 2, ... iterations.

        Its parameters are averaged with alpha = min(1 - 1 / iteration, decay), so that it equals the student
        after the first iteration. The running statistics of batch normalisation are the student's.
        """
        ema.update_parameters(self.network, student, iteration, self.settings.decay)

    def label(self, batch: TrainBatch, iteration: int) -> TrainBatch:
        """Return the batch with `target.view`, what the student sees in iteration 0, 1, ... Collective.

        batch.target.label is 255 where no pixel counts (margins, padding), else 0. UserError if images that
        are mixed differ in size.
        """
        target = batch.target
        if target is None:
            raise ValueError("a teacher needs a target batch")
        labels = self._pseudo_label(target)
        rank, count = self.process_group.rank, len(target.ids)
        first = (iteration * rank.world_size + rank.rank) * count
        positions = range(first, first + count)
        mixed = target._replace(label=labels.label, pixel_weight=labels.weight)
        masked = self._masked(mixed, positions) if self.settings.masked else None
        partner = {"source_on_target": batch.source, "easy_on_hard": batch.partner}.get(self.settings.mix)
        if partner:
            mixed = self._mixed(mixed, partner, positions)
        mixed = mixed._replace(image=self._strong(mixed.image, positions, "strong"))
        return batch._replace(
            target=target._replace(view=StudentView(mixed, masked, labels.confident)), partner=None
        )

    def feature_distance(self, features: Tensor, source: Batch) -> Tensor:
        """Return the mean distance of the student's features of things to the initial ones, a scalar.

        features (N, K, h, w): of the images of `source`, with gradient.
        """
        distance = self.settings.feature_distance
        if self.initial is None or distance is None:
            raise ValueError("self_training.feature_distance is not set")
        initial: list[Tensor] = []
        with torch.no_grad(), feature_distance.recorded(self.initial, initial):
            self._logits(self.initial, source.image)
        size = (features.shape[2], features.shape[3])
        mask = feature_distance.mostly_of(source.label, self.things, size, distance.min_share)
        return feature_distance.distance(features, initial[0], mask)

    @torch.no_grad()
    def _pseudo_label(self, target: Batch) -> PseudoLabel:
        logits = self._logits(self.network, target.image)
        height, width = target.image.shape[2:]
        probability, predicted = upsample(logits.float(), (height, width)).softmax(1).max(1)
        easy = target.easy if self.settings.curriculum == "easy_trusted" else [False] * len(target.ids)
        return pseudo_label(
            probability,
            predicted,
            target.label != IGNORE,
            torch.tensor(easy, device=logits.device),
            self.settings.confidence,
            self.settings.threshold,
            self.process_group,
        )

    def _logits(self, network: SegmentationModel, images: Tensor) -> Tensor:
        with autocast(images.device, self.bf16), FrozenBNStats(network):
            return network.main_logits(network.normalise(images))

    def _mixed(self, target: Batch, partner: Batch, positions: Sequence[int]) -> Batch:
        """Return the target images, each with pixels of the partner at the same place in its batch."""
        if partner.image.shape != target.image.shape:
            raise _sizes_differ(self.settings.mix, partner, target)
        masks = torch.stack(
            [self._pasted(label, position) for label, position in zip(partner.label, positions, strict=True)]
        )
        if self.settings.mix == "easy_on_hard":  # easy images stay as they are
            masks &= ~torch.tensor(target.easy, device=masks.device)[:, None, None]
        weight = target.pixel_weight
        return target._replace(
            image=class_mix.mix(masks[:, None], partner.image, target.image),
            label=class_mix.mix(masks, partner.label, target.label),
            pixel_weight=None if weight is None else torch.where(masks, 1.0, weight),
        )

    def _pasted(self, label: Tensor, position: int) -> Tensor:
        keys = self._random("mix", position).random(self.classes)
        return class_mix.pasted(label, torch.from_numpy(keys).to(label.device))

    def _masked(self, target: Batch, positions: Sequence[int]) -> Batch:
        """Return the target images with other colours and hidden blocks."""
        settings = self.settings.masked
        if settings is None:
            raise ValueError("self_training.masked is not set")
        images = self._strong(target.image, positions, "masked colours")
        size = (images.shape[2], images.shape[3])
        colour = _mean_colour(self.network).to(images.device)
        hidden = [
            masking.hide(
                image,
                masking.visible(size, settings.block, settings.ratio, self._random("masked", position)).to(
                    image.device
                ),
                colour,
            )
            for image, position in zip(images, positions, strict=True)
        ]
        return target._replace(image=torch.stack(hidden))

    def _strong(self, images: Tensor, positions: Sequence[int], name: str) -> Tensor:
        """Return the images with the changes of `strong`."""
        if (strong := self.settings.strong) is None:
            return images
        return torch.stack(
            [
                photometric(image, strong, self._random(name, position))
                for image, position in zip(images, positions, strict=True)
            ]
        )

    def _random(self, name: str, position: int) -> np.random.Generator:
        return seeding.stream(self.seed, "teacher", name, position)


def _frozen(network: SegmentationModel, batch_norm: str) -> SegmentationModel:
    """Return a copy without gradients, dropout and the like.

    batch_norm: "train" to normalise by the statistics of each batch, "eval" by the running statistics.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    if batch_norm == "train":
        for module in copied.modules():
            module.train(isinstance(module, _BatchNorm))
    return copied


def _mean_colour(network: SegmentationModel) -> Tensor:
    """Return the BGR colour (3,) uint8 that the network normalises to about 0."""
    mean = network.normalisation.mean
    bgr = mean if network.normalisation.channel_order == "bgr" else mean[::-1]
    return torch.tensor([round(value) for value in bgr], dtype=torch.uint8)


def _sizes_differ(mix: str, partner: Batch, target: Batch) -> UserError:
    sizes = [
        f"{batch.image.shape[3]}x{batch.image.shape[2]} pixels ({batch.ids[0]})"
        for batch in (partner, target)
    ]
    return UserError(
        f"self_training.mix {mix}",
        f"images of {' and '.join(sizes)}",
        "images of one size",
        "set the same `size` in the preprocess blocks, or the same `crop` in augment and augment_target",
    )
