"""Time scoring 1024x512 images with ResNet-101: ours in bfloat16, the baseline in float32."""

from __future__ import annotations

from benchmarks import Row, bf16, scoring
from benchmarks.inferring import inference_setup
from benchmarks.scoring import IMAGES
from intrada.core.distributed.device import acquire_device


def measure() -> Row:
    """Return the images per second."""
    with inference_setup(IMAGES, "target", "train") as setup:
        device = acquire_device(setup.params.compute, setup.params.compute.inference_threads)
        seconds, _ = scoring.seconds(setup, device, True, bf16.TOLERANCE)
    own, base = (IMAGES / total for total in seconds)
    return Row("score_bf16", own, base, own / base, "img/s", bf16.goal("at least 2.2", device))
