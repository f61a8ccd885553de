"""Item b: logits, self-information, discriminator logits and batch-norm statistics of one validation image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intrada.methods.entropy import information_map
from intrada.models.base import SegmentationModel, upsample
from tests.support.parity_items.comparing import Comparison, absolute, exact, relative
from tests.support.parity_items.reference import PRECISIONS, Reference

INPUTS: frozenset[str] = frozenset()
# Only these are stored in full or as statistics of a trained layer: [0:64] of each.
LAYERS = ("bn1", "layer4.2.bn3")
Values = dict[str, NDArray[Any]]


def compute(reference: Reference, name: str) -> dict[str, Values]:
    return {precision: _one_precision(reference, dtype) for precision, dtype in PRECISIONS.items()}


@torch.no_grad()
def _one_precision(reference: Reference, dtype: torch.dtype) -> Values:
    segmenter, discriminators = reference.segmenter(dtype), reference.discriminators(dtype)
    pixels = reference.image("val", 0, "eval_input_size")
    width, height = reference.size("eval_input_size")
    image = segmenter.normalise(pixels[None])
    found: dict[str, Tensor] = {"input_bgr_u8_chw": pixels}
    found["input_sum"] = torch.stack([image.double().sum(), image.double().abs().sum()])
    for mode in ("eval", "train"):
        logits = segmenter.train(mode == "train")(image)
        whole = {head: upsample(values, (height, width)) for head, values in logits.items()}
        maps = {head: information_map(values) for head, values in whole.items()}
        found |= {
            f"{mode}_aux_strided2": logits["aux"][:, :, ::2, ::2],
            f"{mode}_main": logits["main"],
            f"{mode}_up_main_strided": whole["main"][:, :, ::16, ::16],
            f"{mode}_ent_main_strided": maps["main"][:, :, ::16, ::16],
            **{f"{mode}_d_{head}": discriminators[head](values) for head, values in maps.items()},
        }
    found |= _statistics(segmenter)
    return {key: value.numpy().copy() for key, value in found.items()}


def _statistics(segmenter: SegmentationModel) -> dict[str, Tensor]:
    state = segmenter.state_dict()
    found = {"train_num_batches_tracked": state["bn1.num_batches_tracked"]}
    for layer in LAYERS:
        for kind in ("running_mean", "running_var"):
            found[f"train_after_{layer}.{kind}"] = state[f"{layer}.{kind}"][:64]
    return found


def compare(reference: Reference, name: str, found: dict[str, Values]) -> list[Comparison]:
    stored = reference.stored(name)
    comparisons = []
    for key, value in found["f64"].items():
        if np.issubdtype(value.dtype, np.integer):
            comparisons.append(exact([key], value, stored[key]))
        else:
            comparisons.append(relative([key], value, stored[key], reference.tolerance("forward_f64_rel")))
        if key.startswith("eval_"):  # float32 is what users run
            tolerance = reference.tolerance("forward_f32_abs")
            comparisons.append(absolute([key], found["f32"][key], stored[key], tolerance))
    return comparisons
