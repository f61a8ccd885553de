"""Encode pictures of the page as data URLs, and draw where a prediction is wrong."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from intrada.core.config.classes import IGNORE
from intrada.evaluation.reporting.samples import Pixels, resized

WRONG = (214, 31, 60)  # red
UNKNOWN = (96, 100, 106)  # dark grey: pixels without a label


def photograph(pixels: Pixels) -> str:
    """Return an RGB image (H, W, 3) as a data URL of a WebP file (lossy)."""
    return _data_url(Image.fromarray(np.ascontiguousarray(pixels)), "webp", quality=80, method=4)


def entropy(grey: Pixels) -> str:
    """Return an entropy map (H, W), 255 = entropy 1, in the colours of cividis: bright is uncertain."""
    return photograph(mpl.colormaps["cividis"](grey, bytes=True)[..., :3])


def class_map(indices: Pixels, palette: list[int]) -> str:
    """Return class indices (H, W) in exactly the colours of the palette, 768 ints."""
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("L")
    image.putpalette(palette)
    return _data_url(image, "png", compress_level=9)


def mistakes(image: Pixels, prediction: Pixels, label: Pixels) -> str:
    """Return the image in pale grey with wrong pixels in red and pixels without a label in dark grey.

    image (H, W, 3), prediction (h, w) and label (H', W') may differ in size.
    """
    truth = resized(label, (prediction.shape[1], prediction.shape[0]), Image.Resampling.NEAREST)
    unknown = truth == IGNORE
    return _marked(image, {WRONG: (prediction != truth) & ~unknown, UNKNOWN: unknown})


def differences(image: Pixels, prediction: Pixels, other: Pixels) -> str:
    """Return the image in pale grey with the pixels in red where two predictions differ."""
    return _marked(image, {WRONG: prediction != other})


def _marked(image: Pixels, masks: dict[tuple[int, int, int], NDArray[np.bool_]]) -> str:
    height, width = next(iter(masks.values())).shape
    grey = resized(image, (width, height), Image.Resampling.BILINEAR).mean(2, keepdims=True)
    shown = np.repeat(150 + 0.4 * grey, 3, axis=2)
    for color, mask in masks.items():
        shown[mask] = 0.15 * shown[mask] + 0.85 * np.array(color)
    return photograph(shown.round().astype(np.uint8))


def _data_url(image: Image.Image, kind: str, **options: Any) -> str:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
