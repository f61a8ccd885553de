"""Predictions for the Cityscapes benchmark server: PNGs of label ids (0..33) at the size of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from intrada.core import files
from intrada.core.cli_types import ImageSize
from intrada.core.config.classes import CITYSCAPES_IDS, ClassSet
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data.loader import inference_batches
from intrada.inference import postprocess
from intrada.inference.predictor import Predictor


def table(classes: ClassSet) -> np.ndarray:
    """Return train index -> Cityscapes label id, (C,) uint8. UserError for a class that Cityscapes lacks."""
    ids = {entry.name: raw for raw, entry in CITYSCAPES_IDS.items()}
    if unknown := [name for name in classes.names if name not in ids]:
        raise UserError(
            "label_ids", f"the classes {', '.join(unknown)}", "Cityscapes classes only",
            "omit --label-ids: only the Cityscapes server reads such files",
        )  # fmt: skip
    return np.array([ids[name] for name in classes.names], np.uint8)


@torch.inference_mode()
def write(
    predictor: Predictor,
    index: pd.DataFrame,
    folder: Path,
    classes: ClassSet,
    size: ImageSize | None,
    device: torch.device,
    context: Context,
    rank: Rank = SINGLE_RANK,
) -> None:
    """Write `folder`/<id>.png for every image, at the size of its label, else at `size` (width, height).

    rank: this process writes the images `index[rank::world_size]`. UserError if neither size is known.
    """
    ids = table(classes)
    labels = dict(zip(index["id"], index["label"], strict=True))
    count = len(range(len(index))[rank.rank :: rank.world_size])
    for batch in context.progress(inference_batches(index, 1, rank), count, "image"):
        width, height = _size(batch.ids[0], labels[batch.ids[0]], size)
        upsampled_tiles = predictor.upsampled_tiles(
            predictor.low_res_logits(batch.to(device)), 0, (height, width)
        )
        prediction = ids[postprocess.predict_classes(upsampled_tiles, (height, width), device).cpu().numpy()]
        files.write_label(folder / f"{batch.ids[0]}.png", prediction, files.GREY)


def _size(name: str, label: str, size: ImageSize | None) -> tuple[int, int]:
    if label:
        return files.image_size(Path(label))
    if size is None:
        raise UserError(
            "--size", f"not given, and {name} has no label to take the size from",
            "WIDTHxHEIGHT in pixels", "add --size 2048x1024, the size of Cityscapes' images",
        )  # fmt: skip
    return size
