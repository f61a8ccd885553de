"""Scoring target images of 1024x512 with ResNet-101 in float32 on a CPU."""

from __future__ import annotations

from benchmarks import Row, baseline, scoring
from benchmarks.inferring import CPU, setting
from benchmarks.scoring import IMAGES, TIMES


def measure() -> Row:
    """Images a second, ours over the baseline's; both read, predict, and write two PNGs an image."""
    with setting(IMAGES, "target", "train") as given:
        seconds, forward = scoring.seconds(given, CPU, False, 1e-4)
    baseline.tell("ranking an image at 1024x512", seconds[1] / IMAGES)
    baseline.tell("the forward pass of ranking it", forward / (TIMES * IMAGES))
    here, there = (IMAGES / each for each in seconds)
    return Row("score_float32", here, there, here / there, "img/s", "at least 1.15")
