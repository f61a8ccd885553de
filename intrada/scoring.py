"""Entropy, predicted labels and confidence of every image, in one forward pass (IntraDA, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from intrada import entropy, files, pseudo
from intrada.batches import counted_batches
from intrada.inference import Predictor
from intrada.labels import ClassSet
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

    def write(name: str, top: np.ndarray, label: np.ndarray) -> None:
        files.write_label(predicted / f"{name}.png", label.astype(np.uint8), palette)
        files.write_label(sure / f"{name}.png", pseudo.confidence_bytes(top), files.GREY)

    rows = []
    with ThreadPoolExecutor(context.workers) as pool:
        writing: Iterator[None] = iter(())
        for batch in context.progress(*counted_batches(index, batch_size), "batch"):
            probabilities = predictor.predict(batch.to(device)).softmax(1)
            scores = entropy.image_entropy(entropy.self_information(probabilities)).tolist()
            maximum, argmax = (values.cpu().numpy() for values in probabilities.max(1))
            for name, value, label in zip(batch.ids, scores, argmax, strict=True):
                counts = np.bincount(label.ravel(), minlength=len(classes))
                rows.append([name, value, *counts.tolist()])
            list(writing)  # waits, so that no more than one batch is held, and raises what went wrong
            writing = pool.map(write, batch.ids, maximum, argmax)
        list(writing)
    columns = ["image", "entropy", *(PIXELS + name for name in classes.names)]
    return pd.DataFrame(rows, columns=columns).set_index("image").loc[index["id"]].reset_index()
