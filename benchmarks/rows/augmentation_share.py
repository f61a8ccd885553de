"""Measure the share of all colour changes in an iteration of the toy city, whose images are small."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import Row
from benchmarks.timing import cpu_seconds
from intrada.core import seeding
from intrada.core.config.augment_blocks import Photometric
from intrada.core.config.load import load
from intrada.data.photometric import photometric
from intrada.training import cost_estimate

PRESET = Path("presets/toycity.yaml")
ITERATIONS = 30
# The published strong augmentation (DACS, DAFormer), and the further changes of docs/how-to/augmentation.md.
SETTINGS = Photometric.model_validate(
    {
        "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.2, "probability": 0.8},
        "gamma": {"exponent": [0.741, 2.46], "probability": 0.5},
        "channel_gain": {"gain": 0.1, "probability": 0.5},
        "blur": {"sigma": [0.15, 1.15], "probability": 0.5},
        "jpeg": {"quality": [50, 95], "probability": 0.25},
    }
)


def measure() -> Row:
    """Return the processor seconds of the changes of all images of an iteration, and of its step."""
    params = load(PRESET)
    block, size = params.train_inter, params.preprocess.source.size
    torch.set_num_threads(1)  # waiting threads would count in the processor time
    device = torch.device("cpu")
    trainer = cost_estimate.build_trainer(params, block, device)
    step = cost_estimate.noise_train_batch(params, "train_inter", [(size[0], size[1])] * 2, device)
    trainer.step(step)

    assert step.target
    images = torch.cat([step.source.image, step.target.image])
    _change(images, 0)
    pairs = [
        (cpu_seconds(partial(_change, images, number)), cpu_seconds(partial(trainer.step, step)))
        for number in range(ITERATIONS)
    ]
    # The mean of the changes, since few images have all of them.
    own, iteration = statistics.mean(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
    return Row("augmentation_share", own, iteration, own / (own + iteration), "s", "under 0.05")


def _change(images: Tensor, iteration: int) -> None:
    for number, image in enumerate(images):
        photometric(image, SETTINGS, seeding.stream(1, "benchmark", iteration, number))
