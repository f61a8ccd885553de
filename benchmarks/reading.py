"""Reading an image as training does: from the PNG that preprocess left, against the raw one each time.

The images alone, without labels. The baseline's is float32 minus the means; ours are bytes, which the
network turns into that in a millisecond or two on its device.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks import Row, baseline, timing
from benchmarks.streets import for_inference
from intrada.core.config.schema import Params
from intrada.data.loader import training_stream

TIMES = 7


def compare(
    name: str, params: Params, domain: str, raw: list[tuple[Path, Path]], root: Path, folder: Path, what: str
) -> Row:
    """Seconds an image, the baseline's over ours. raw: the images in `root`, which hold labels too."""
    torch.set_num_threads(params.compute.threads)
    index = for_inference(params, domain, root, folder).assign(label="")
    block = getattr(params.preprocess, domain)
    size = block.size[0], block.size[1]
    augment = params.train_inter.augment

    def ours() -> None:
        for _ in training_stream(index, params.seed, domain, augment, 1, 0, len(raw)):
            pass

    def theirs() -> None:
        for image, _ in raw:
            baseline.read_image(image, size)

    ours()
    theirs()
    here, there = (seconds / len(raw) for seconds in timing.medians(ours, theirs, TIMES))
    baseline.tell(what, there)
    return Row(name, here, there, there / here, "s", "at least 8")
