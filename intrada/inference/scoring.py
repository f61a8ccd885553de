"""Entropy, predicted label and confidence of every image, in one forward pass (IntraDA, section 3.2)."""

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
from intrada.data.loader import Failed, counted_batches
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
    failed: Failed | None = None,
) -> pd.DataFrame:
    """Write label and confidence maps to `folders`; return the table of scores.csv, in the index's order.

    rank: this process scores the images `index[rank::world_size]`; `merge_tables` merges the tables.
    failed: called for an image that cannot be read, which is left out; without it, its UserError is raised.
    """
    label_folder, confidence_folder = folders
    palette = classes.palette()

    def write(name: str, maps: PixelPrediction) -> None:
        files.write_label(label_folder / f"{name}.png", maps.label.numpy(), palette)
        confidence = pseudo_labels.confidence_bytes(maps.confidence.numpy())
        files.write_label(confidence_folder / f"{name}.png", confidence, files.GREY)

    rows = []
    with ThreadPoolExecutor(context.workers) as pool:
        writing: Iterator[None] = iter(())
        for batch in context.progress(*counted_batches(index, batch_size, rank, failed), "batch"):
            batch = batch.to(device)
            size = batch.image.shape[2], batch.image.shape[3]
            low_res_logits = predictor.low_res_logits(batch)
            predictions = [
                predict_pixels(predictor.upsampled_tiles(low_res_logits, image, size), size, device)
                for image in range(len(batch.ids))
            ]
            for name, maps in zip(batch.ids, predictions, strict=True):
                counts = torch.bincount(maps.label.flatten(), minlength=len(classes)).tolist()
                rows.append([name, maps.entropy.mean().item(), *counts])
            list(writing)  # waits, so that one batch at most is in memory, and raises errors of the threads
            writing = pool.map(write, batch.ids, [maps.cpu() for maps in predictions])
        list(writing)
    columns = ["image", "entropy", *(PIXELS + name for name in classes.names)]
    return merge_tables([pd.DataFrame(rows, columns=columns)], index)


def merge_tables(tables: Sequence[pd.DataFrame], index: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all tables of `score` as one table, in the index's order."""
    rows = pd.concat([table for table in tables if len(table)] or tables[:1]).set_index("image")
    return rows.loc[index["id"][index["id"].isin(rows.index)]].reset_index()
