"""Time reading a training image: ours reads the preprocessed PNG, the baseline the raw one.

Labels are not read. The baseline returns float32 minus the means. Ours returns bytes, which the network
converts on its device in 1 to 2 ms.
"""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks import Row, baseline, timing
from benchmarks.streets import preprocessed
from intrada.core.config.schema import Params
from intrada.data.loader import training_stream

TIMES = 7


def compare(
    name: str, params: Params, domain: str, raw: list[tuple[Path, Path]], root: Path, folder: Path, task: str
) -> Row:
    """Return the row: seconds per image; the ratio is the baseline over ours.

    raw: the paths of the images and labels in `root`; task: the key of baseline.EXPECTED.
    """
    torch.set_num_threads(params.compute.threads)
    index = preprocessed(params, domain, root, folder).assign(label="")
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
    own, base = (seconds / len(raw) for seconds in timing.medians(ours, theirs, TIMES))
    baseline.print_seconds(task, base)
    return Row(name, own, base, base / own, "s", "at least 8")
