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
# The layers whose first 64 running statistics are stored.
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
    actual: dict[str, Tensor] = {"input_bgr_u8_chw": pixels}
    actual["input_sum"] = torch.stack([image.double().sum(), image.double().abs().sum()])
    for mode in ("eval", "train"):
        logits = segmenter.train(mode == "train")(image)
        upsampled = {head: upsample(values, (height, width)) for head, values in logits.items()}
        maps = {head: information_map(values) for head, values in upsampled.items()}
        actual |= {
            f"{mode}_aux_strided2": logits["aux"][:, :, ::2, ::2],
            f"{mode}_main": logits["main"],
            f"{mode}_up_main_strided": upsampled["main"][:, :, ::16, ::16],
            f"{mode}_ent_main_strided": maps["main"][:, :, ::16, ::16],
            **{f"{mode}_d_{head}": discriminators[head](values) for head, values in maps.items()},
        }
    actual |= _statistics(segmenter)
    return {key: value.numpy().copy() for key, value in actual.items()}


def _statistics(segmenter: SegmentationModel) -> dict[str, Tensor]:
    state = segmenter.state_dict()
    actual = {"train_num_batches_tracked": state["bn1.num_batches_tracked"]}
    for layer in LAYERS:
        for kind in ("running_mean", "running_var"):
            actual[f"train_after_{layer}.{kind}"] = state[f"{layer}.{kind}"][:64]
    return actual


def compare(reference: Reference, name: str, actual: dict[str, Values]) -> list[Comparison]:
    stored = reference.stored(name)
    comparisons = []
    for key, value in actual["f64"].items():
        if np.issubdtype(value.dtype, np.integer):
            comparisons.append(exact([key], value, stored[key]))
        else:
            comparisons.append(relative([key], value, stored[key], reference.tolerance("forward_f64_rel")))
        if key.startswith("eval_"):  # users run float32
            tolerance = reference.tolerance("forward_f32_abs")
            comparisons.append(absolute([key], actual["f32"][key], stored[key], tolerance))
    return comparisons
