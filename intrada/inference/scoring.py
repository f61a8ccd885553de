"""Entropy, predicted labels and confidence of every image, in one forward pass (IntraDA, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import torch

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.stage import Context
from intrada.data.loader import counted_batches
from intrada.data.tables import PIXELS
from intrada.inference.postprocess import PixelPrediction, predict_pixels
from intrada.inference.predictor import Predictor
from intrada.methods import pseudo_labels


@torch.inference_mode()
def score(
    predictor: Predictor,
    index: pd.DataFrame,
    batch_size: int,
    folders: tuple[Path, Path],
    classes: ClassSet,
    device: torch.device,
    context: Context,
    rank: Rank = SINGLE_RANK,
) -> pd.DataFrame:
    """The table of scores.csv, in the index's order; predictions and confidences go to two `folders`.

    part: of the images, those that this process is given; `joined` puts several tables together.
    """
    predicted, confidence = folders
    palette = classes.palette()

    def write(name: str, found: PixelPrediction) -> None:
        files.write_label(predicted / f"{name}.png", found.label.numpy(), palette)
        files.write_label(
            confidence / f"{name}.png", pseudo_labels.confidence_bytes(found.confidence.numpy()), files.GREY
        )

    rows = []
    with ThreadPoolExecutor(context.workers) as pool:
        writing: Iterator[None] = iter(())
        for batch in context.progress(*counted_batches(index, batch_size, rank), "batch"):
            batch = batch.to(device)
            size = batch.image.shape[2], batch.image.shape[3]
            low_res_logits = predictor.low_res_logits(batch)
            found = [
                predict_pixels(predictor.upsampled_tiles(low_res_logits, image, size), size, device)
                for image in range(len(batch.ids))
            ]
            for name, each in zip(batch.ids, found, strict=True):
                counts = torch.bincount(each.label.flatten(), minlength=len(classes)).tolist()
                rows.append([name, each.entropy.mean().item(), *counts])
            list(writing)  # waits, so that no more than one batch is held, and raises what went wrong
            writing = pool.map(write, batch.ids, [each.cpu() for each in found])
        list(writing)
    columns = ["image", "entropy", *(PIXELS + name for name in classes.names)]
    return joined([pd.DataFrame(rows, columns=columns)], index)


def joined(tables: Sequence[pd.DataFrame], index: pd.DataFrame) -> pd.DataFrame:
    """The rows of all tables of `score`, in the index's order."""
    found = pd.concat([table for table in tables if len(table)] or tables[:1]).set_index("image")
    return found.loc[index["id"][index["id"].isin(found.index)]].reset_index()
