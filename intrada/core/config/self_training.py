"""Schema of the block self_training of a training stage, which `method: mean_teacher` needs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from intrada.core.config.augment_blocks import Photometric
from intrada.core.config.data_blocks import Block, OptionalKeys
from intrada.core.config.types import Count, Decay, Fraction, NotNegative, Share

Part = Annotated[Fraction, Field(lt=1)]


class Margins(Block):
    """Parts of the height (top, bottom) and width (left, right) of a whole image without pseudo-labels."""

    top: Part = 0.0
    bottom: Part = 0.0
    left: Part = 0.0
    right: Part = 0.0

    @model_validator(mode="after")
    def _leaves_pixels(self) -> Margins:
        for one, other in (("top", "bottom"), ("left", "right")):
            if getattr(self, one) + getattr(self, other) >= 1:
                raise ValueError(f"{one} and {other} add up to 1 or more, so no pixel is left")
        return self


class Masked(Block):
    """Masked consistency: the student predicts target images of which random blocks are hidden."""

    block: Count  # side of a block in pixels
    ratio: Share  # part of the blocks that is hidden, below 1
    weight: NotNegative  # of this loss

    @model_validator(mode="after")
    def _shows_a_block(self) -> Masked:
        if self.ratio == 1:
            raise ValueError("ratio is 1, so every block would be hidden")
        return self


class FeatureDistance(Block):
    """Distance of the student's features of source images to those of the network before the training."""

    weight: NotNegative  # of this loss
    classes: Annotated[list[str], Field(min_length=1)]  # on whose pixels it is taken: things in the source
    min_share: Share  # part of the pixels below a feature that must be of one class


class SelfTraining(OptionalKeys):
    """An online teacher that labels each target batch for the student (Mean Teacher, DACS, DAFormer)."""

    decay: Decay  # of the teacher's moving average of the student's parameters, alpha
    batch_norm: Literal["train", "eval"]  # of the teacher: statistics of each batch, or running statistics
    # How much a pixel of the teacher's label counts. pixel: 1 if its probability is at least `threshold`,
    # else it is ignored; batch_share, image_share: the share of such pixels in the batch or image; none: 1
    confidence: Literal["pixel", "batch_share", "image_share", "none"]
    threshold: Fraction
    weight: NotNegative  # of the loss on the target
    # source_on_target: pixels of half of the classes of a source image are pasted on each target image;
    # easy_on_hard (step 3): those of an easy image and of its pseudo-label on each hard image
    mix: Literal["none", "source_on_target", "easy_on_hard"]
    # Step 3 and the ranking. none: easy and hard images are treated alike; easy_first: at first only easy
    # images are drawn, then more and more of the hard ones, by rank; easy_trusted: all pixels of easy images
    # count fully
    curriculum: Literal["none", "easy_first", "easy_trusted"]
    saved: Literal["student", "teacher"]  # the network that the stage writes
    adversary: Literal["none", "advent"]  # advent: the losses of AdvEnt are added
    strong: Photometric | None = None  # changes of colours in the student's view, after the mixing
    margins: Margins | None = None
    masked: Masked | None = None
    feature_distance: FeatureDistance | None = None

    @property
    def needs_ranking(self) -> bool:
        """Whether easy and hard images are treated differently, which only step 3 can do."""
        return self.curriculum != "none" or self.mix == "easy_on_hard"
