"""What the rows about inference share: the published experiment on drawn Cityscapes images, on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks.streets import for_inference, workplace, write_cityscapes
from intrada.core.config.classes import ClassSet
from intrada.core.config.load import load
from intrada.core.config.schema import Params

PRESET = Path("presets/gta5_to_cityscapes.yaml")
SIZE = (1024, 512)  # of the images as the network sees them
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """raw: images and labels as they were drawn, in `folder`; index: what preprocess made of them."""

    params: Params
    classes: ClassSet
    folder: Path
    raw: list[tuple[Path, Path]]
    index: pd.DataFrame


@contextmanager
def setting(images: int, domain: str, split: str) -> Iterator[Setting]:
    """`images` images of `split`, prepared as the preset's `domain`; torch has the preset's threads."""
    params = load(PRESET)
    torch.set_num_threads(params.compute.inference_threads)
    torch.manual_seed(0)
    with workplace() as folder:
        raw = write_cityscapes(folder / "raw", images, split)
        index = for_inference(params, domain, folder / "raw", folder)
        yield Setting(params, params.class_set, folder, raw, index)
