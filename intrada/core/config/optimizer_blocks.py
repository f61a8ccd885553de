"""Schema of the blocks `optimizer` and `schedule` of a training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from intrada.core.config.data_blocks import Block, OptionalKeys
from intrada.core.config.types import Count, Fraction, NotNegative, Positive, Share


class Optimizer(OptionalKeys):
    """The optimizer of the segmentation network."""

    name: Literal["sgd", "adamw"]
    lr: Positive
    momentum: Fraction  # sgd only; the betas of adamw are always (0.9, 0.999)
    weight_decay: NotNegative
    heads_lr_multiplier: Positive
    multiplicity: Literal["once", "published"]
    layer_decay: Share | None = None  # rate of a block of the backbone, relative to the block after it
    no_decay_on_norms: bool | None = None  # true: norms and position embeddings have no weight decay

    @model_validator(mode="after")
    def _groups_are_updated_once(self) -> Optimizer:
        if self.multiplicity == "published" and (self.layer_decay or self.no_decay_on_norms):
            raise ValueError("layer_decay and no_decay_on_norms need multiplicity once")
        return self


class Schedule(Block):
    """Warm-up and decay of the learning rates."""

    warmup: Count  # iterations in which the rates rise linearly to those of the decay
    warmup_ratio: Annotated[Fraction, Field(gt=0)]  # of the rates in iteration 0
    decay: Literal["poly", "cosine"]  # poly: with `power`; both reach 0 at `max_iters`
