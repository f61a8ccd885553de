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

from intrada.core.config.augment_blocks import check_crop
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
from intrada.core.config.training_blocks import Intra, Training
from intrada.core.config.types import (
    Count,
    Fraction,
    Options,
    PathText,
    Seed,
    Share,
)
from intrada.core.config.window_block import Window

if TYPE_CHECKING:
    from intrada.core.config.classes import ClassSet


Rule = Literal["mean_entropy", "published_normalized", "paper_normalized", "shuffled"]


class Model(Block):
    name: str
    options: Options


class Score(OptionalKeys):
    """The keys of the stage that scores the target images."""

    batch_size: Count
    window: Window | None = None  # absent: the network gets whole images


class Rank(OptionalKeys):
    """The keys of step 2."""

    rule: Rule  # shuffled: a random order, the control of the other rules
    easy_fraction: Fraction  # lambda in IntraDA
    rare_classes: list[str]  # used by the normalised rules; 11 in the paper
    seed: Seed | None = None  # of the rule shuffled

    @model_validator(mode="after")
    def _seed_is_used(self) -> Rank:
        if (self.rule == "shuffled") != (self.seed is not None):
            raise ValueError(f"rule {self.rule} with seed {self.seed}: only the rule shuffled has a seed")
        return self


class PseudoLabel(Block):
    min_confidence: Fraction  # 0: every pixel keeps its argmax, as in the paper
    class_share: Share  # fraction of each predicted class's pixels, the most confident, to keep; 1: all


class Round(Block):
    """One more round of score, rank, pseudo_label and train_intra."""

    after: str  # stage of the initial model: train_intra, or train_intra_round/<an earlier round>
    easy_fraction: Fraction  # lambda of this round
    init: PathText  # initial weights of its training


class Evaluate(OptionalKeys):
    """The keys of the evaluation."""

    batch_size: Count
    samples: Count  # number of easiest images, and of hardest, whose predictions are written
    gallery: Annotated[int, Field(ge=0, le=100)]  # number of further images, evenly spaced by entropy
    combine: Literal["probabilities", "logits"]  # quantity that an ensemble averages
    window: Window | None = None  # as in score


class Snapshots(OptionalKeys):
    """The keys of the evaluation of snapshots."""

    batch_size: Count
    images: Count  # number of target images, evenly spaced, for the criterion without labels
    window: Window | None = None  # as in score


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
    def _teachers_fit(self) -> Params:
        if self.train_source.self_training:
            raise ValueError("train_source.method is mean_teacher, but this stage reads no target image")
        settings = self.train_inter.self_training
        if settings and settings.needs_ranking:
            raise ValueError(
                f"train_inter.self_training has curriculum {settings.curriculum} and mix {settings.mix}, but "
                "only step 3 (train_intra) has easy and hard images; use curriculum none, and another mix"
            )
        for block in (self.train_inter, self.train_intra):
            if block.self_training and (distance := block.self_training.feature_distance):
                for name in distance.classes:
                    self.class_set.index(name)  # UserError for an unknown class
        return self

    @model_validator(mode="after")
    def _rare_classes_are_counted(self) -> Params:
        for name in ("train_source", "train_inter", "train_intra"):
            block: Training = getattr(self, name)
            if not block.rare_class_sampling:
                continue
            if isinstance(block, Intra) and not block.starts_with_source:
                raise ValueError(
                    f"{name}.rare_class_sampling draws source images, which start a batch with mean_teacher "
                    "and supervision source only; remove it"
                )
            counted = {"preprocess.source": self.preprocess.source}
            counted |= {f"sources.{key}": entry for key, entry in self.sources.items()}
            for where, domain in counted.items():
                if not domain.class_pixels:
                    raise ValueError(f"{name}.rare_class_sampling needs {where}.class_pixels: true")
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
