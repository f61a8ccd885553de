"""Scoring target images of 1024x512 with ResNet-101, ours in bfloat16 and the baseline in float32."""

from __future__ import annotations

from benchmarks import Row, bf16, scoring
from benchmarks.inferring import setting
from benchmarks.scoring import IMAGES
from intrada.core.distributed.device import acquire_device


def measure() -> Row:
    """Images a second, ours over the baseline's."""
    with setting(IMAGES, "target", "train") as given:
        device = acquire_device(given.params.compute, given.params.compute.inference_threads)
        seconds, _ = scoring.seconds(given, device, True, bf16.TOLERANCE)
    here, there = (IMAGES / each for each in seconds)
    return Row("score_bf16", here, there, here / there, "img/s", bf16.goal("at least 2.2", device))
