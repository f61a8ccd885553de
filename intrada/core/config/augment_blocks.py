"""Schema of the blocks `augment` and `augment_target` of a training: random changes of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from intrada.core.cli_types import MAX_SIDE
from intrada.core.config.data_blocks import Block, Domain, OptionalKeys
from intrada.core.config.types import Count, Fraction, Number, Share


def _ascending(interval: list[float]) -> list[float]:
    """Refuse an interval whose first number is above its second."""
    if interval[0] > interval[1]:
        raise ValueError("expected two numbers, the lower one first")
    return interval


Pair = Field(min_length=2, max_length=2)
Range = Annotated[list[Annotated[Number, Field(ge=0.1, le=10)]], Pair, AfterValidator(_ascending)]
CropSize = Annotated[list[Annotated[int, Field(ge=32, le=MAX_SIDE)]], Pair]
Qualities = Annotated[list[Annotated[int, Field(ge=1, le=100)]], Pair, AfterValidator(_ascending)]


class Invert(Block):
    probability: Fraction  # that the image becomes its negative: each value v of 0..255 becomes 255 - v


class Colour(Block):
    brightness: Fraction  # the image is multiplied by a factor drawn from 1 - brightness to 1 + brightness
    contrast: Fraction  # likewise its distance from the mean grey value of the image
    saturation: Fraction  # likewise its distance from the grey value of each pixel
    hue: Annotated[Number, Field(ge=0, le=0.5)]  # shift, in turns, drawn from -hue to hue
    probability: Fraction  # that an image is changed


class Gamma(Block):
    exponent: Range  # [low, high] of the exponent, drawn so that its logarithm is uniform; above 1: darker
    probability: Fraction


class ChannelGain(Block):
    gain: Fraction  # each channel is multiplied by a factor of its own, drawn from 1 - gain to 1 + gain
    probability: Fraction


class Blur(Block):
    sigma: Range  # [low, high] of the standard deviation of a Gaussian, pixels
    probability: Fraction


class Jpeg(Block):
    quality: Qualities  # [low, high] of the quality with which the image is compressed as a JPEG
    probability: Fraction


class Photometric(OptionalKeys):
    """Changes of the colours of an image; without a key, its change is not made. In the order of the keys."""

    invert: Invert | None = None  # the negative of the image
    colour: Colour | None = None  # brightness, contrast, saturation and hue
    gamma: Gamma | None = None  # the exponent of the image, whose values are 0..1
    channel_gain: ChannelGain | None = None  # a factor for each of blue, green and red
    blur: Blur | None = None  # a Gaussian
    jpeg: Jpeg | None = None  # noise of a JPEG compression


class Crop(OptionalKeys):
    """The part of an image that the network sees. size: width and height, pixels; without it, the image's.

    The discriminators need at least 32 x 32 pixels.
    """

    size: CropSize | None = None
    cat_max_ratio: Share  # most of the labelled pixels of a crop that one class may have
    tries: Count  # places that are tried for such a crop; the last one counts


class Augment(Photometric):
    """Random changes of the images of a training: flip, jitter, scale, crop, then those of Photometric."""

    flip: bool  # mirrors image and label with probability 1/2
    jitter: Fraction  # brightness and contrast of every image are drawn from 1 +- jitter
    scale: Range | None = None  # [low, high] of the factor by which an image is resized before the crop
    crop: Crop | None = None  # the part of an image that the network sees

    @model_validator(mode="after")
    def _images_have_one_size(self) -> Augment:
        if self.scale and not self.crop:
            raise ValueError("scale needs crop: the images of a training batch have one size")
        return self

    @property
    def is_simple(self) -> bool:
        """Whether nothing but `flip` and `jitter` is set."""
        return self.model_dump().keys() == {"flip", "jitter"}

    def seen(self, size: Sequence[int]) -> tuple[int, int]:
        """Return (width, height) of what the network sees of an image of `size`, its width and height."""
        width, height = self.crop.size if self.crop and self.crop.size else size
        return width, height


def check_crop(where: str, augment: Augment, images: Mapping[str, Domain]) -> None:
    """Raise ValueError if the crop is larger than an image can be. images: by key."""
    if not (crop := augment.crop) or not crop.size:
        return
    for key, domain in images.items():
        largest = [round(side * (augment.scale[1] if augment.scale else 1)) for side in domain.size]
        if any(side > limit for side, limit in zip(crop.size, largest, strict=True)):
            resized = f", at most {largest} after {where}.scale" if augment.scale else ""
            message = f"{where}.crop.size is {crop.size}, but {key}.size is {domain.size}{resized}"
            raise ValueError(f"{message}: a crop is a part of an image")
