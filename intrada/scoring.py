"""Entropy, predicted labels and confidence of every image, in one forward pass (IntraDA, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import torch

from intrada import files, pseudo
from intrada.batches import counted_batches
from intrada.inference import Predictor
from intrada.labels import ClassSet
from intrada.pixels import Pixels, survey
from intrada.stage import Context
from intrada.tables import PIXELS


@torch.inference_mode()
def score(
    predictor: Predictor,
    index: pd.DataFrame,
    batch_size: int,
    folders: tuple[Path, Path],
    classes: ClassSet,
    device: torch.device,
    context: Context,
) -> pd.DataFrame:
    """The table of scores.csv, in the index's order; predictions and confidences go to two `folders`."""
    predicted, sure = folders
    palette = classes.palette()

    def write(name: str, found: Pixels) -> None:
        files.write_label(predicted / f"{name}.png", found.label.numpy(), palette)
        files.write_label(sure / f"{name}.png", pseudo.confidence_bytes(found.confidence.numpy()), files.GREY)

    rows = []
    with ThreadPoolExecutor(context.workers) as pool:
        writing: Iterator[None] = iter(())
        for batch in context.progress(*counted_batches(index, batch_size), "batch"):
            batch = batch.to(device)
            size = batch.image.shape[2], batch.image.shape[3]
            maps = predictor.maps(batch)
            found = [
                survey(predictor.bands(maps, image, size), size, device) for image in range(len(batch.ids))
            ]
            for name, each in zip(batch.ids, found, strict=True):
                counts = torch.bincount(each.label.flatten(), minlength=len(classes)).tolist()
                rows.append([name, each.entropy.mean().item(), *counts])
            list(writing)  # waits, so that no more than one batch is held, and raises what went wrong
            writing = pool.map(write, batch.ids, [each.cpu() for each in found])
        list(writing)
    columns = ["image", "entropy", *(PIXELS + name for name in classes.names)]
    return pd.DataFrame(rows, columns=columns).set_index("image").loc[index["id"]].reset_index()
