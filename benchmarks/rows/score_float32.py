"""Time scoring 1024x512 images with ResNet-101 in float32 on a CPU."""

from __future__ import annotations

from benchmarks import Row, baseline, scoring
from benchmarks.inferring import CPU, inference_setup
from benchmarks.scoring import IMAGES, TIMES


def measure() -> Row:
    """Return the images per second; both sides read, predict and write two PNGs per image."""
    with inference_setup(IMAGES, "target", "train") as setup:
        seconds, forward = scoring.seconds(setup, CPU, False, 1e-4)
    baseline.print_seconds("ranking an image at 1024x512", seconds[1] / IMAGES)
    baseline.print_seconds("the forward pass of ranking it", forward / (TIMES * IMAGES))
    own, base = (IMAGES / total for total in seconds)
    return Row("score_float32", own, base, own / base, "img/s", "at least 1.15")
