"""Time scoring images of 1024x512 with ResNet-101: the code of the score stage, and the baseline."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks import baseline, timing
from benchmarks.baseline_network import DeepLab, calibrate_batch_norm
from benchmarks.inferring import SIZE, InferenceSetup
from benchmarks.streets import context
from intrada.data.loader import inference_batches
from intrada.inference.predictor import Predictor, for_inference
from intrada.inference.scoring import score
from intrada.models import build_model

IMAGES, TIMES = 2, 2


def seconds(
    setup: InferenceSetup, device: torch.device, bf16: bool, tolerance: float
) -> tuple[tuple[float, float], float]:
    """Return the seconds for all images (ours, the baseline's), and of the baseline's forward passes.

    bf16: whether ours computes in bfloat16; the baseline computes in float32. Raises AssertionError if the
    entropies differ by more than `tolerance` (relative).
    """
    params, classes = setup.params, setup.classes
    network, other = build_model(params.model.name, len(classes), params.model.options), DeepLab(len(classes))
    first = next(inference_batches(setup.index, 1)).image
    other.load_state_dict(network.state_dict())
    for model in (network, other):  # also warms them up
        calibrate_batch_norm(model, network.normalise(first[:, :, ::4, ::4]))
    timed, predictor = (
        TimedNetwork(other.to(device), device),
        Predictor([for_inference(network, device)], bf16=bf16),
    )
    outs = setup.folder / "predictions", setup.folder / "confidence"
    for out in outs:
        out.mkdir()
    entropies: dict[str, list[float]] = {}

    def ours() -> None:
        size = params.score.batch_size
        table = score(predictor, setup.index, size, outs, classes, device, context(setup.folder))
        entropies["ours"] = table["entropy"].tolist()

    def theirs() -> None:
        means = [
            baseline.rank_image(timed, path, SIZE, classes.palette(), setup.folder) for path, _ in setup.raw
        ]
        entropies["theirs"] = [len(classes) * mean for mean in means]  # theirs is a mean over classes

    medians = timing.medians(ours, theirs, TIMES)
    np.testing.assert_allclose(entropies["ours"], entropies["theirs"], rtol=tolerance)
    return medians, timed.seconds


class TimedNetwork(nn.Module):
    """A network that adds up the seconds of its forward passes."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network, self.device, self.seconds = network, device, 0.0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.seconds += timing.seconds(lambda: outputs.append(self.network(images.to(self.device))))
        return outputs[0]
