"""Schema of params.yaml. Unknown keys are errors, and each value has a range.

Every key is required, but for those with the default None, which are off where they are absent.

Every command validates the whole file first (load.py). A stage then gets only the keys that it declares
(select.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from intrada.core.config.augment_blocks import Augment, check_crop
from intrada.core.config.compute_block import Compute
from intrada.core.config.data_blocks import (
    Block,
    Domain,
    OptionalKeys,
    Preprocess,
    Sets,
    Toycity,
    check_sets,
)
from intrada.core.config.types import (
    Count,
    Decay,
    Fraction,
    NotNegative,
    Options,
    PathText,
    Positive,
    Seed,
    Share,
)

if TYPE_CHECKING:
    from intrada.core.config.classes import ClassSet


Rule = Literal["mean_entropy", "published_normalized", "paper_normalized"]


class Model(Block):
    name: str
    options: Options


class Optimizer(Block):
    name: Literal["sgd", "adamw"]
    lr: Positive
    momentum: Fraction  # sgd only; the betas of adamw are always (0.9, 0.999)
    weight_decay: NotNegative
    heads_lr_multiplier: Positive
    multiplicity: Literal["once", "published"]


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


class Training(OptionalKeys):
    """The keys of a training stage."""

    method: str
    init: PathText
    iterations: Count
    max_iters: Count  # iteration at which the poly schedule reaches 0
    power: NotNegative
    batch_size: Count
    gradient_accumulation_steps: Count  # micro-batches of a batch
    optimizer: Optimizer
    discriminator: Discriminator
    weights: LossWeights
    augment: Augment
    augment_target: Augment | None = (
        None  # of the target images that are read without a label; absent: augment
    )
    log_every: Count  # iterations averaged into one row of losses.csv
    checkpoint_every: Count  # iterations
    checkpoint_minutes: Positive
    checkpoints_kept: Count
    snapshot_every: Count  # iterations between snapshots, of which `select` chooses the model
    ema: Decay  # decay of the moving average of weights that is saved; 0: save the last weights
    bn_statistics: Literal["all", "target"]  # domain that updates the BatchNorm running statistics

    @property
    def augment_for_target(self) -> Augment:
        """The augmentation of the target images that are read without a label."""
        return self.augment_target or self.augment

    @model_validator(mode="after")
    def _schedule_is_long_enough(self) -> Training:
        if self.max_iters < self.iterations:
            raise ValueError(f"max_iters {self.max_iters} is below iterations {self.iterations}")
        return self

    @model_validator(mode="after")
    def _augmented_images_are_used(self) -> Training:
        if self.augment_target and self.method == "source_only":
            raise ValueError("augment_target is not used, since source_only uses no target image; remove it")
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


class Score(Block):
    batch_size: Count


class Rank(Block):
    rule: Rule
    easy_fraction: Fraction  # lambda in IntraDA
    rare_classes: list[str]  # used by the normalised rules; 11 in the paper


class PseudoLabel(Block):
    min_confidence: Fraction  # 0: every pixel keeps its argmax, as in the paper
    class_share: Share  # fraction of each predicted class's pixels, the most confident, to keep; 1: all


class Round(Block):
    """One more round of score, rank, pseudo_label and train_intra."""

    after: str  # stage of the initial model: train_intra, or train_intra_round/<an earlier round>
    easy_fraction: Fraction  # lambda of this round
    init: PathText  # initial weights of its training


class Evaluate(Block):
    batch_size: Count
    samples: Count  # number of easiest images, and of hardest, whose predictions are written
    gallery: Annotated[int, Field(ge=0, le=100)]  # number of further images, evenly spaced by entropy
    combine: Literal["probabilities", "logits"]  # quantity that an ensemble averages


class Snapshots(Block):
    batch_size: Count
    images: Count  # number of target images, evenly spaced, for the criterion without labels


class Report(Block):
    title: str


RoundName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*$")]


class Params(Block):
    """The whole of params.yaml."""

    seed: Seed
    compute: Compute
    classes: list[str | dict[str, Any]]
    toycity: Toycity
    preprocess: Preprocess
    sources: Sets  # further labelled source data
    target_labelled: Sets  # labelled target images, used in step 3
    model: Model
    train_source: Training
    train_inter: Training
    score: Score
    rank: Rank
    pseudo_label: PseudoLabel
    train_intra: Intra
    rounds: dict[RoundName, Round]
    select: Literal["last", "label_free", "oracle"]  # the snapshot of a run that becomes its model
    evaluate_snapshots: Snapshots
    evaluate: Evaluate
    report: Report

    @cached_property
    def class_set(self) -> ClassSet:
        """The classes of the block `classes`, in its order. UserError if the block is invalid."""
        from intrada.core.config.classes import class_set  # imports numpy, so only on use

        return class_set(self.classes)

    @property
    def domains(self) -> dict[str, Domain]:
        """The blocks that name raw data by their dotted keys, such as `preprocess.source` and `sources.a`."""
        first = {
            "source": self.preprocess.source,
            "target": self.preprocess.target,
            "val": self.preprocess.val,
        }
        groups: dict[str, Mapping[str, Domain]] = {
            "preprocess": first,
            "sources": self.sources,
            "target_labelled": self.target_labelled,
        }
        return {
            f"{group}.{name}": block for group, blocks in groups.items() for name, block in blocks.items()
        }

    @model_validator(mode="after")
    def _sets_fit(self) -> Params:
        check_sets(self.preprocess.source, self.sources, self.target_labelled)
        parts = {"rank": self.rank.easy_fraction}
        parts |= {f"rounds.{name}": block.easy_fraction for name, block in self.rounds.items()}
        for where, fraction in parts.items():
            if self.target_labelled and fraction == 0:
                unused = "step 3 is skipped and target_labelled is not used"
                raise ValueError(
                    f"{where}.easy_fraction is 0, so {unused}; raise it, or target_labelled: {{}}"
                )
        return self

    @model_validator(mode="after")
    def _classes_are_known(self) -> Params:
        _ = self.class_set  # UserError for an unknown class
        return self

    @model_validator(mode="after")
    def _statistics_have_images(self) -> Params:
        for name in ("train_source", "train_inter"):
            block: Training = getattr(self, name)
            if block.method == "source_only" and block.bn_statistics == "target":
                raise ValueError(f"{name}.bn_statistics is target, but source_only uses no target image")
        return self

    @model_validator(mode="after")
    def _crops_are_in_their_images(self) -> Params:
        source, target = (
            {"preprocess.source": self.preprocess.source},
            {"preprocess.target": self.preprocess.target},
        )
        easy = target | {f"target_labelled.{name}": block for name, block in self.target_labelled.items()}
        easy |= source if self.train_intra.supervision != "pseudo" else {}
        for name, labelled in (("train_source", source), ("train_inter", source), ("train_intra", easy)):
            block: Training = getattr(self, name)
            check_crop(f"{name}.augment", block.augment, labelled)
            own = "augment_target" if block.augment_target else "augment"
            if block.method != "source_only":
                check_crop(f"{name}.{own}", block.augment_for_target, target)
        return self

    @model_validator(mode="after")
    def _devices_get_equal_batches(self) -> Params:
        devices = self.compute.devices
        for name in ("train_source", "train_inter", "train_intra"):
            block: Training = getattr(self, name)
            if (size := block.batch_size) % devices:
                raise ValueError(f"compute.devices {devices} does not divide {name}.batch_size {size}")
            steps = block.gradient_accumulation_steps
            if size // devices % steps:
                images = f"the {size // devices} images of a batch on each of {devices} devices"
                raise ValueError(f"{name}.gradient_accumulation_steps {steps} does not divide {images}")
        return self

    @model_validator(mode="after")
    def _rounds_follow_each_other(self) -> Params:
        known = ["train_intra"]
        for name, block in self.rounds.items():
            if name in ("source", "inter", "intra"):
                raise ValueError(f"rounds.{name} is the name of another model; use, for example, r2")
            if block.after not in known:
                raise ValueError(f"rounds.{name}.after is {block.after!r}, allowed is one of {known}")
            known.append(f"train_intra_round/{name}")
        return self
