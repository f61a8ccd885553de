"""Scoring target images of 1024x512 with ResNet-101 in float32: what the stage score does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import Row, baseline, timing
from benchmarks.baseline_network import DeepLab, settle
from benchmarks.streets import context, prepared, workplace, write_cityscapes
from intrada import labels, params_file
from intrada.batches import inference_batches
from intrada.inference import Predictor
from intrada.models import build_model
from intrada.scoring import score

PRESET = Path("presets/gta5_to_cityscapes.yaml")
SIZE = (1024, 512)
IMAGES, TIMES = 2, 2
CPU = torch.device("cpu")


def measure() -> Row:
    """Images a second, ours over the baseline's; both read, predict, and write two PNGs an image."""
    params = params_file.load(PRESET)
    torch.set_num_threads(params.compute.threads)
    torch.manual_seed(0)
    classes = labels.class_set(params.classes)
    network = build_model(params.model.name, len(classes), params.model.options)
    with workplace() as folder:
        raw = [image for image, _ in write_cityscapes(folder / "raw", IMAGES, "train")]
        index = prepared(params, "target", folder / "raw", folder)
        first = next(inference_batches(index, 1)).image
        other = DeepLab(len(classes))
        other.load_state_dict(network.state_dict())
        for each in (network, other):  # which warms them up as well
            settle(each, network.normalise(first[:, :, ::4, ::4]))
        timed = Timed(other)
        predictor = Predictor([network])
        outs = folder / "predictions", folder / "confidence"
        for out in outs:
            out.mkdir()
        entropies: dict[str, list[float]] = {}

        def ours() -> None:
            size = params.score.batch_size
            table = score(predictor, index, size, outs, classes, CPU, context(folder))
            entropies["ours"] = table["entropy"].tolist()

        def theirs() -> None:
            found = [baseline.rank_image(timed, path, SIZE, classes.palette(), folder) for path in raw]
            entropies["theirs"] = [len(classes) * each for each in found]  # theirs is a mean over classes

        seconds = timing.medians(ours, theirs, TIMES)
    np.testing.assert_allclose(entropies["ours"], entropies["theirs"], rtol=1e-4)
    baseline.tell("ranking an image at 1024x512", seconds[1] / IMAGES)
    baseline.tell("the forward pass of ranking it", timed.seconds / (TIMES * IMAGES))
    here, there = (IMAGES / each for each in seconds)
    return Row("score_float32", here, there, here / there, "img/s", "at least 1.15")


class Timed(nn.Module):
    """A network that adds up how long its forward passes last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seconds = network, 0.0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.seconds += timing.seconds(lambda: found.append(self.network(images)))
        return found[0]
