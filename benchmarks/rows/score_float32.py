"""Scoring target images of 1024x512 with ResNet-101 in float32: what the stage score does with them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks import Row, baseline, timing
from benchmarks.baseline_network import DeepLab, settle
from benchmarks.inferring import CPU, SIZE, Setting, setting
from benchmarks.streets import context
from intrada.batches import inference_batches
from intrada.inference import Predictor, prepared
from intrada.models import build_model
from intrada.scoring import score

IMAGES, TIMES = 2, 2


def measure() -> Row:
    """Images a second, ours over the baseline's; both read, predict, and write two PNGs an image."""
    with setting(IMAGES, "target", "train") as given:
        seconds, forward = _seconds(given)
    baseline.tell("ranking an image at 1024x512", seconds[1] / IMAGES)
    baseline.tell("the forward pass of ranking it", forward / (TIMES * IMAGES))
    here, there = (IMAGES / each for each in seconds)
    return Row("score_float32", here, there, here / there, "img/s", "at least 1.15")


def _seconds(given: Setting) -> tuple[tuple[float, float], float]:
    """(ours, the baseline's), and what all of the baseline's forward passes took."""
    params, classes = given.params, given.classes
    network, other = build_model(params.model.name, len(classes), params.model.options), DeepLab(len(classes))
    first = next(inference_batches(given.index, 1)).image
    other.load_state_dict(network.state_dict())
    for each in (network, other):  # which warms them up as well
        settle(each, network.normalise(first[:, :, ::4, ::4]))
    timed, predictor = Timed(other), Predictor([prepared(network, CPU)])
    outs = given.folder / "predictions", given.folder / "confidence"
    for out in outs:
        out.mkdir()
    entropies: dict[str, list[float]] = {}

    def ours() -> None:
        size = params.score.batch_size
        table = score(predictor, given.index, size, outs, classes, CPU, context(given.folder))
        entropies["ours"] = table["entropy"].tolist()

    def theirs() -> None:
        found = [
            baseline.rank_image(timed, path, SIZE, classes.palette(), given.folder) for path, _ in given.raw
        ]
        entropies["theirs"] = [len(classes) * each for each in found]  # theirs is a mean over classes

    seconds = timing.medians(ours, theirs, TIMES)
    np.testing.assert_allclose(entropies["ours"], entropies["theirs"], rtol=1e-4)
    return seconds, timed.seconds


class Timed(nn.Module):
    """A network that adds up how long its forward passes last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seconds = network, 0.0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.seconds += timing.seconds(lambda: found.append(self.network(images)))
        return found[0]
