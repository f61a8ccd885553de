"""Scoring images of 1024x512 with ResNet-101: what the stage score does with them, and the baseline."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks import baseline, timing
from benchmarks.baseline_network import DeepLab, configure_torch
from benchmarks.inferring import SIZE, Setting
from benchmarks.streets import context
from intrada.data.loader import inference_batches
from intrada.inference.predictor import Predictor, for_inference
from intrada.inference.scoring import score
from intrada.models import build_model

IMAGES, TIMES = 2, 2


def seconds(
    given: Setting, device: torch.device, bf16: bool, tolerance: float
) -> tuple[tuple[float, float], float]:
    """(ours, the baseline's) for all images, and what all of the baseline's forward passes took.

    bf16: whether ours computes in it; the baseline is float32. AssertionError where entropies differ by more
    than `tolerance`, relative.
    """
    params, classes = given.params, given.classes
    network, other = build_model(params.model.name, len(classes), params.model.options), DeepLab(len(classes))
    first = next(inference_batches(given.index, 1)).image
    other.load_state_dict(network.state_dict())
    for each in (network, other):  # which warms them up as well
        configure_torch(each, network.normalise(first[:, :, ::4, ::4]))
    timed, predictor = Timed(other.to(device), device), Predictor([for_inference(network, device)], bf16=bf16)
    outs = given.folder / "predictions", given.folder / "confidence"
    for out in outs:
        out.mkdir()
    entropies: dict[str, list[float]] = {}

    def ours() -> None:
        size = params.score.batch_size
        table = score(predictor, given.index, size, outs, classes, device, context(given.folder))
        entropies["ours"] = table["entropy"].tolist()

    def theirs() -> None:
        each = [
            baseline.rank_image(timed, path, SIZE, classes.palette(), given.folder) for path, _ in given.raw
        ]
        entropies["theirs"] = [len(classes) * one for one in each]  # theirs is a mean over classes

    found = timing.medians(ours, theirs, TIMES)
    np.testing.assert_allclose(entropies["ours"], entropies["theirs"], rtol=tolerance)
    return found, timed.seconds


class Timed(nn.Module):
    """A network that adds up how long its forward passes last."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network, self.device, self.seconds = network, device, 0.0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.seconds += timing.seconds(lambda: found.append(self.network(images.to(self.device))))
        return found[0]
