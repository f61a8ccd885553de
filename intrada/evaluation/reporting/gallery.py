"""The gallery of the page: its images as addresses that hold their bytes, small enough all together."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from intrada.evaluation.reporting import samples
from intrada.evaluation.reporting.samples import Picture, Sample

SIDES = (512, 384, 256, 128, 64)  # longest sides in pixels, the first that keeps to the budget is taken
BUDGET = 14_000_000  # characters of all images; the page, which has to stay below 20 MB, has little else


def build(shown: Sequence[Sample], palette: list[int], budget: int = BUDGET) -> dict[str, Any]:
    """What page.js shows: layers (name, whether its pixels are classes) and images, surest first.

    palette: 768 ints, red green blue of the class indices. An image has its addresses in the order of the
    layers, None where there is no label.
    """
    first = shown[0]
    layers = [{"name": "image", "map": False}, {"name": "entropy", "map": False}]
    layers += [{"name": name, "map": True} for name in first.predictions]
    labelled = any(sample.label is not None for sample in shown)
    layers += [{"name": "label", "map": True}] * labelled
    for side in SIDES:
        encoded = [_addresses(samples.small(sample, side), palette, labelled) for sample in shown]
        if sum(len(address or "") for addresses in encoded for address in addresses) <= budget:
            break
    images = [_entry(sample, addresses) for sample, addresses in zip(shown, encoded, strict=True)]
    return {"layers": layers, "images": images}


def orders(gallery: dict[str, Any]) -> list[tuple[str, str]]:
    """(`key direction`, words) of the orders that the images can be brought into."""
    known = [("entropy up", "easiest first"), ("entropy down", "hardest first"), ("name up", "name")]
    if any(image["right"] is not None for image in gallery["images"]):
        last = gallery["layers"][-2]["name"]
        known += [
            ("right up", f"fewest right pixels ({last}) first"),
            ("gain up", f"{last} worst against inter first"),
            ("gain down", f"{last} best against inter first"),
        ]
    return known


def _entry(sample: Sample, addresses: list[str | None]) -> dict[str, Any]:
    right = sample.right or None
    last = list(sample.predictions)[-1]
    return {
        "name": sample.name,
        "subset": sample.subset,
        "entropy": round(float(sample.entropy), 4),
        "right": None if right is None else round(right[last], 2),
        "gain": None if right is None else round(right[last] - right["inter"], 2),
        "models": None if right is None else {name: f"{value:.1f}" for name, value in right.items()},
        "layers": addresses,
    }


def _addresses(sample: Sample, palette: list[int], labelled: bool) -> list[str | None]:
    bright = mpl.colormaps["cividis"](sample.uncertainty, bytes=True)[..., :3]
    low_res_logits = [*sample.predictions.values(), *[sample.label] * labelled]
    known = [None if indices is None else _map(indices, palette) for indices in low_res_logits]
    return [_photograph(sample.image), _photograph(bright), *known]


def _photograph(picture: Picture) -> str:
    image = Image.fromarray(np.ascontiguousarray(picture))
    return _address(image, "webp", quality=80, method=4)


def _map(indices: Picture, palette: list[int]) -> str:
    image = Image.fromarray(np.ascontiguousarray(indices)).convert("L")
    image.putpalette(palette)
    return _address(image, "png", compress_level=9)


def _address(image: Image.Image, kind: str, **options: Any) -> str:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
