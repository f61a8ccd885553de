"""Build the gallery of the page: its images as data URLs, within a limit on their total size."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from intrada.evaluation.reporting import samples
from intrada.evaluation.reporting.samples import Pixels, Sample

SIDES = (512, 384, 256, 128, 64)  # longest sides in pixels; the first that fits the budget is used
BUDGET = 14_000_000  # characters of all images, most of the page, which must stay below 20 MB


def build(shown: Sequence[Sample], palette: list[int], budget: int = BUDGET) -> dict[str, Any]:
    """Return the data of page.js: the layers (name, and whether their pixels are classes) and the images.

    shown: the samples in ascending order of entropy. palette: 768 ints, red, green and blue of the class
    indices. budget: the most characters of all images. An image has a data URL for each layer, in their
    order; None for the layer "label" of an image without a label.
    """
    first = shown[0]
    layers = [{"name": "image", "map": False}, {"name": "entropy", "map": False}]
    layers += [{"name": name, "map": True} for name in first.predictions]
    labelled = any(sample.label is not None for sample in shown)
    layers += [{"name": "label", "map": True}] * labelled
    for side in SIDES:
        encoded = [_data_urls(samples.downscale(sample, side), palette, labelled) for sample in shown]
        if sum(len(url or "") for urls in encoded for url in urls) <= budget:
            break
    images = [_entry(sample, urls) for sample, urls in zip(shown, encoded, strict=True)]
    return {"layers": layers, "images": images}


def sort_orders(gallery: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the orders of the images as pairs of a value ("key up" or "key down") and a description."""
    orders = [("entropy up", "easiest first"), ("entropy down", "hardest first"), ("name up", "name")]
    if any(image["accuracy"] is not None for image in gallery["images"]):
        last = gallery["layers"][-2]["name"]
        orders += [
            ("accuracy up", f"lowest pixel accuracy ({last}) first"),
            ("gain up", f"largest loss from inter to {last} first"),
            ("gain down", f"largest gain from inter to {last} first"),
        ]
    return orders


def _entry(sample: Sample, urls: list[str | None]) -> dict[str, Any]:
    accuracy = sample.accuracy or None
    last = list(sample.predictions)[-1]
    return {
        "name": sample.name,
        "subset": sample.subset,
        "entropy": round(float(sample.entropy), 4),
        "accuracy": None if accuracy is None else round(accuracy[last], 2),
        "gain": None if accuracy is None else round(accuracy[last] - accuracy["inter"], 2),
        "models": None if accuracy is None else {name: f"{value:.1f}" for name, value in accuracy.items()},
        "layers": urls,
    }


def _data_urls(sample: Sample, palette: list[int], labelled: bool) -> list[str | None]:
    entropy = mpl.colormaps["cividis"](sample.entropy_map, bytes=True)[..., :3]
    maps = [*sample.predictions.values(), *[sample.label] * labelled]
    encoded = [None if indices is None else _encode_map(indices, palette) for indices in maps]
    return [_encode_photograph(sample.image), _encode_photograph(entropy), *encoded]


def _encode_photograph(pixels: Pixels) -> str:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return _data_url(image, "webp", quality=80, method=4)


def _encode_map(indices: Pixels, palette: list[int]) -> str:
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("L")
    image.putpalette(palette)
    return _data_url(image, "png", compress_level=9)


def _data_url(image: Image.Image, kind: str, **options: Any) -> str:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
