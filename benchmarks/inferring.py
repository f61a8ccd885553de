"""Shared by the inference rows: the published experiment on synthetic Cityscapes images, on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from benchmarks.streets import preprocessed, temporary_folder, write_cityscapes
from intrada.core.config.classes import ClassSet
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.core.distributed.device import configure_torch

PRESET = Path("presets/gta5_to_cityscapes.yaml")
SIZE = (1024, 512)  # (width, height) of the network's input
CPU = torch.device("cpu")


@dataclass(frozen=True)
class InferenceSetup:
    """raw: the paths of the drawn images and labels in `folder`; index: the index of the preprocess stage."""

    params: Params
    classes: ClassSet
    folder: Path
    raw: list[tuple[Path, Path]]
    index: pd.DataFrame


@contextmanager
def inference_setup(images: int, domain: str, split: str) -> Iterator[InferenceSetup]:
    """Draw and preprocess `images` images of `split` as `domain`; torch uses the preset's thread count."""
    params = load(PRESET)
    configure_torch(params.compute, params.compute.inference_threads, CPU)
    torch.manual_seed(0)
    with temporary_folder() as folder:
        raw = write_cityscapes(folder / "raw", images, split)
        index = preprocessed(params, domain, folder / "raw", folder)
        yield InferenceSetup(params, params.class_set, folder, raw, index)
