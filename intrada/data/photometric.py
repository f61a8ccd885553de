"""Random changes of the colours of an image: negative, colour jitter, gamma, channel gains, blur, JPEG noise.

The changes are those of torchvision.transforms.v2.functional, with two differences: they are computed in
float32 and rounded once, and colours are clipped only where a change needs it. This takes a third to a ninth
of torchvision's time on a CPU, and the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from intrada.core.config.augment_blocks import Photometric

# Random numbers of each change; the first decides whether it is made. All are drawn for every image, so that
# the numbers of a change do not depend on the other settings. Append only: the order seeds the results.
DRAWS = {"colour": 5, "gamma": 2, "channel_gain": 4, "blur": 2, "jpeg": 2, "invert": 1}
GREY = (0.114, 0.587, 0.299)  # weights of blue, green and red (ITU-R BT.601)
HUE_SECTORS = (1.0, 3.0, 5.0)  # of blue, green and red, see _hue_shifted
BLUR_REACH = 4  # standard deviations at which a Gaussian is cut off; it is below 0.04 % of its maximum there


def photometric(image: Tensor, settings: Photometric, random: np.random.Generator) -> Tensor:
    """Return the image with the changes of `settings`, each made with its probability.

    image: (3, H, W) uint8 BGR, on any device; the result has the same shape, type and device. The changes are
    made in the order of the keys of Photometric. random: as many numbers are drawn for each image, whatever
    the settings.
    """
    drawn = {name: random.random(count).tolist() for name, count in DRAWS.items()}
    steps = {name: step for name in DRAWS if (step := getattr(settings, name))}
    made = {name: drawn[name][1:] for name, step in steps.items() if drawn[name][0] < step.probability}
    if made.keys() - {"jpeg"}:
        image = _bytes(_changed(image, settings, made))
    if settings.jpeg and "jpeg" in made:
        low, high = settings.jpeg.quality
        image = _compressed(image, low + int(made["jpeg"][0] * (high - low + 1)))
    return image


def _changed(image: Tensor, settings: Photometric, made: dict[str, list[float]]) -> Tensor:
    """Return the image (3, H, W) after all changes but JPEG, float32, some values outside of 0..255."""
    if "invert" in made:
        image = 255 - image
    pixels = image.float()
    if settings.colour and "colour" in made:
        colour, (brightness, contrast, saturation, hue) = settings.colour, made["colour"]
        factors = [
            _between(1 - reach, 1 + reach, number)
            for reach, number in (
                (colour.brightness, brightness),
                (colour.contrast, contrast),
                (colour.saturation, saturation),
            )
        ]
        pixels = _adjusted(pixels, image, *factors)
        if colour.hue:
            pixels = _hue_shifted(pixels.clamp_(0, 255), _between(-colour.hue, colour.hue, hue))
    if settings.gamma and "gamma" in made:
        low, high = map(math.log, settings.gamma.exponent)
        exponent = math.exp(_between(low, high, made["gamma"][0]))
        pixels = pixels.clamp_(0, 255).div_(255).pow_(exponent).mul_(255)
    if settings.channel_gain and "channel_gain" in made:
        gain = settings.channel_gain.gain
        pixels = pixels * _planes(
            [_between(1 - gain, 1 + gain, number) for number in made["channel_gain"]], pixels
        )
    if settings.blur and "blur" in made:
        low, high = settings.blur.sigma
        pixels = blurred(pixels.clamp_(0, 255), _between(low, high, made["blur"][0]))
    return pixels


def _adjusted(pixels: Tensor, image: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Scale pixels, then their distance from the mean grey value, then that from their own grey values.

    pixels: the image in float32. The three steps are one affine map of a pixel and its grey value.
    """
    sums = image.flatten(1).sum(1).double()  # of integers, so that the order of the additions does not matter
    mean = (sums * _planes(GREY, sums).flatten()).sum() / image[0].numel()
    grey = _grey(pixels)
    offset = ((1 - contrast) * brightness * mean).float()
    return pixels * (saturation * contrast * brightness) + (
        grey * ((1 - saturation) * contrast * brightness) + offset
    )


def _grey(pixels: Tensor) -> Tensor:
    blue, green, red = pixels.unbind()
    return blue * GREY[0] + green * GREY[1] + red * GREY[2]


def _hue_shifted(pixels: Tensor, turns: float) -> Tensor:
    """Rotate the hue of (3, H, W) pixels, >= 0, in the colour space HSV. turns: 1 is the whole circle."""
    blue, green, red = pixels
    value = pixels.amax(0)
    chroma = value - pixels.amin(0)
    safe = chroma.clamp(min=1e-6)
    of_blue, of_green, of_red = (red - green) / safe + 4, (blue - red) / safe + 2, (green - blue) / safe
    hue = torch.where(value == red, of_red, torch.where(value == green, of_green, of_blue)) + 6 * turns
    # In two of the six sectors of the circle a channel is `value`, in two `value - chroma`, and between them
    # it is linear.
    phase = (hue + _planes(HUE_SECTORS, pixels)).remainder_(6)
    return value - chroma * (2 - phase.sub_(2).abs_()).clamp_(0, 1)


def blurred(pixels: Tensor, sigma: float) -> Tensor:
    """Return (3, H, W) pixels convolved with a Gaussian, mirrored at the borders. sigma: in pixels."""
    for axis in (1, 2):
        length = pixels.shape[axis]
        reach = min(math.ceil(BLUR_REACH * sigma), length - 1)
        weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(reach + 1)]
        total = weights[0] + 2 * sum(weights[1:])
        border = (0, 0, reach, reach) if axis == 1 else (reach, reach, 0, 0)
        padded = pad(pixels, border, mode="reflect")
        pixels = padded.narrow(axis, reach, length) * (weights[0] / total)
        for offset, weight in enumerate(weights[1:], 1):
            for start in (reach - offset, reach + offset):
                pixels.add_(padded.narrow(axis, start, length), alpha=weight / total)
    return pixels


def _compressed(image: Tensor, quality: int) -> Tensor:
    """Return (3, H, W) uint8 BGR pixels as they are after a JPEG file of this quality, 1..100."""
    if image.is_meta:  # cost estimates have no pixels
        return image
    pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return torch.from_numpy(decoded).permute(2, 0, 1).contiguous().to(image.device)


def _bytes(pixels: Tensor) -> Tensor:
    return pixels.round().clamp_(0, 255).to(torch.uint8)


def _between(low: float, high: float, number: float) -> float:
    """Return low..high for a number in 0..1."""
    return low + number * (high - low)


def _planes(values: Sequence[float], like: Tensor) -> Tensor:
    """Return one value for each channel, (3, 1, 1), in the type and on the device of a tensor."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(3, 1, 1)
