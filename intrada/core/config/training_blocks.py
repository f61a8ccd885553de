"""Schema of the blocks train_source, train_inter and train_intra."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from intrada.core.config.augment_blocks import Augment
from intrada.core.config.data_blocks import Block, OptionalKeys
from intrada.core.config.optimizer_blocks import Optimizer, Schedule
from intrada.core.config.self_training import SelfTraining
from intrada.core.config.types import Count, Decay, NotNegative, PathText, Positive, Share

TEACHING = "mean_teacher"  # the method that has a teacher


class Discriminator(Block):
    lr: Positive
    width: Count  # channels of its first convolution; 64 in the paper


class Heads(Block):
    """One weight for each classifier head."""

    main: NotNegative
    aux: NotNegative


class LossWeights(Block):
    seg: Heads  # cross entropy of each head
    target: Heads  # loss on the target: adversarial (lambda_adv) or entropy (lambda_ent)


class RareClassSampling(Block):
    """Draws labelled source images so that rare classes are seen more often."""

    temperature: Positive  # the lower, the more the rarest classes are preferred
    min_share: Share  # part of the pixels of an image that must be of the drawn class
    tries: Count  # crops that are made of an image, until one holds the class


class Training(OptionalKeys):
    """The keys of a training stage."""

    method: str
    init: PathText
    iterations: Count
    max_iters: Count  # iteration at which the learning rates reach 0
    power: NotNegative  # of the poly decay
    schedule: Schedule | None = None  # absent: poly decay without warm-up
    batch_size: Count
    gradient_accumulation_steps: Count  # micro-batches of a batch
    optimizer: Optimizer
    discriminator: Discriminator
    weights: LossWeights
    augment: Augment
    augment_target: Augment | None = None  # of target images without a label; absent: as augment
    log_every: Count  # iterations averaged into one row of losses.csv
    checkpoint_every: Count  # iterations
    checkpoint_minutes: Positive
    checkpoints_kept: Count
    snapshot_every: Count  # iterations between snapshots, of which `select` chooses the model
    ema: Decay  # decay of the moving average of weights that is saved; 0: save the last weights
    bn_statistics: Literal["all", "target"]  # domain that updates the BatchNorm running statistics
    self_training: SelfTraining | None = None  # of the method mean_teacher
    rare_class_sampling: RareClassSampling | None = None  # of the source images

    @property
    def augment_for_target(self) -> Augment:
        """The augmentation of the target images that are read without a label."""
        return self.augment_target or self.augment

    @property
    def has_labels(self) -> bool:
        """Whether the cross entropy on the first images of a batch has labels."""
        return True

    @model_validator(mode="after")
    def _schedule_is_long_enough(self) -> Training:
        if self.max_iters < self.iterations:
            raise ValueError(f"max_iters {self.max_iters} is below iterations {self.iterations}")
        if self.schedule and self.schedule.warmup >= self.max_iters:
            raise ValueError(
                f"schedule.warmup {self.schedule.warmup} is not below max_iters {self.max_iters}"
            )
        return self

    @model_validator(mode="after")
    def _augmented_images_are_used(self) -> Training:
        if self.augment_target and self.method == "source_only":
            raise ValueError("augment_target is not used, since source_only uses no target image; remove it")
        return self

    @model_validator(mode="after")
    def _teacher_is_used(self) -> Training:
        if self.method == TEACHING and self.self_training is None:
            raise ValueError(
                f"method {TEACHING} needs the block self_training (docs/how-to/self-training.md)"
            )
        if self.self_training and self.method != TEACHING:
            raise ValueError(f"self_training is not used by method {self.method}; remove it")
        if self.self_training and self.ema:
            raise ValueError(
                "ema is not used with a teacher; set it to 0, and self_training.saved to teacher"
            )
        return self

    @model_validator(mode="after")
    def _micro_batches_are_equal(self) -> Training:
        if self.batch_size % self.gradient_accumulation_steps:
            steps = f"gradient_accumulation_steps {self.gradient_accumulation_steps}"
            raise ValueError(f"{steps} does not divide batch_size {self.batch_size}")
        return self


class Intra(Training):
    """The keys of step 3: those of a training, and `supervision`."""

    supervision: Literal["pseudo", "source", "both"]  # labels that the cross entropy uses

    @property
    def has_labels(self) -> bool:
        """False where the easy images are used by the adversarial losses only."""
        return self.supervision != "source" or self.starts_with_source

    @property
    def starts_with_source(self) -> bool:
        """Whether the first images of a batch are source images, not easy ones: a teacher labels those."""
        return self.self_training is not None and self.supervision == "source"

    @property
    def adds_source(self) -> bool:
        """Whether source images are in a batch in addition to easy and hard ones."""
        return self.supervision != "pseudo" and not self.starts_with_source
