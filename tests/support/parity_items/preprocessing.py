"""Item g: the network's input, from raw files: resized images minus the mean, resized train-id labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.models import deeplabv2
from tests.support.parity_items.comparing import Comparison, exact, relative
from tests.support.parity_items.reference import Reference

INPUTS = frozenset({"source0_label_dtype", "target0_label_dtype", "val2_label_dtype"})
# key -> domain, index in its list, name of its size
IMAGES = {
    "source0": ("source", 0, "source_size"),
    "target0": ("target", 0, "target_size"),
    "val2": ("val", 2, "eval_input_size"),
}


def compute(reference: Reference, name: str) -> dict[str, Any]:
    segmenter = deeplabv2.build(
        reference.setting["num_classes"], "resnet18"
    )  # every backbone has the same normalisation
    table = reference.classes.table({raw: entry.name for raw, entry in CITYSCAPES_IDS.items()})
    large = reference.label("val", 2, (512, 256))
    actual: dict[str, Any] = {
        "gta5_map256": table,
        "cityscapes_map_vector35": table[:35],
        "img_mean_bgr": np.asarray(deeplabv2.MEAN_BGR, np.float32),
        "val2_label_512x256_hist": np.bincount(large.ravel(), minlength=256),
        "target0_bgr_u8_chw": reference.image("target", 0, "target_size").numpy(),
    }
    for key, (domain, index, size) in IMAGES.items():
        pixels = reference.image(domain, index, size)
        image = segmenter.normalise(pixels[None])[0]
        sums = torch.stack([image.double().sum(), image.double().abs().sum()])
        actual |= {
            f"{key}_strided4": image[:, ::4, ::4].numpy(),
            f"{key}_sum": sums.numpy(),
            f"{key}_label": reference.label(domain, index, reference.size(size)),
            f"{key}_name": reference.names(domain)[index],
            f"{key}_shape": np.asarray(image.shape),
        }
    return actual


def compare(reference: Reference, name: str, actual: dict[str, Any]) -> list[Comparison]:
    comparisons = []
    for key, expected in reference.stored(name).items():
        if expected.dtype.kind == "U":
            expected = str(expected)
        if key not in actual:
            continue
        if isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
            comparisons.append(relative([key], actual[key], expected, reference.tolerance("forward_f64_rel")))
        else:
            comparisons.append(exact([key], actual[key], expected))
    return comparisons
