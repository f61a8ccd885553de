"""Schema of the blocks `augment` and `augment_target` of a training: random changes of its images."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from intrada.core.config.data_blocks import Block, OptionalKeys
from intrada.core.config.types import Fraction, Number


def _ascending(interval: list[float]) -> list[float]:
    """Refuse an interval whose first number is above its second."""
    if interval[0] > interval[1]:
        raise ValueError("expected two numbers, the lower one first")
    return interval


Pair = Field(min_length=2, max_length=2)
Gammas = Annotated[list[Annotated[Number, Field(ge=0.1, le=10)]], Pair, AfterValidator(_ascending)]
Sigmas = Annotated[list[Annotated[Number, Field(ge=0.1, le=10)]], Pair, AfterValidator(_ascending)]
Qualities = Annotated[list[Annotated[int, Field(ge=1, le=100)]], Pair, AfterValidator(_ascending)]


class Colour(Block):
    brightness: Fraction  # the image is multiplied by a factor drawn from 1 - brightness to 1 + brightness
    contrast: Fraction  # likewise its distance from the mean grey value of the image
    saturation: Fraction  # likewise its distance from the grey value of each pixel
    hue: Annotated[Number, Field(ge=0, le=0.5)]  # shift, in turns, drawn from -hue to hue
    probability: Fraction  # that an image is changed


class Gamma(Block):
    exponent: Gammas  # [low, high] of the exponent, drawn so that its logarithm is uniform; above 1: darker
    probability: Fraction


class ChannelGain(Block):
    gain: Fraction  # each channel is multiplied by a factor of its own, drawn from 1 - gain to 1 + gain
    probability: Fraction


class Blur(Block):
    sigma: Sigmas  # [low, high] of the standard deviation of a Gaussian, pixels
    probability: Fraction


class Jpeg(Block):
    quality: Qualities  # [low, high] of the quality with which the image is compressed as a JPEG
    probability: Fraction


class Photometric(OptionalKeys):
    """Changes of the colours of an image; without a key, its change is not made. In the order of the keys."""

    colour: Colour | None = None  # brightness, contrast, saturation and hue
    gamma: Gamma | None = None  # the exponent of the image, whose values are 0..1
    channel_gain: ChannelGain | None = None  # a factor for each of blue, green and red
    blur: Blur | None = None  # a Gaussian
    jpeg: Jpeg | None = None  # noise of a JPEG compression


class Augment(Photometric):
    """Random changes of the images of a training. `flip` and `jitter` come first."""

    flip: bool  # mirrors image and label with probability 1/2
    jitter: Fraction  # brightness and contrast of every image are drawn from 1 +- jitter
