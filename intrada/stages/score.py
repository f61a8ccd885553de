"""One forward pass over the target: entropy of every image, its predicted labels, their confidence."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch

from intrada import entropy, files, labels, pseudo, tables
from intrada.batches import counted_batches
from intrada.device import prepare
from intrada.inference import Predictor, load_for_inference
from intrada.labels import ClassSet
from intrada.params import Params
from intrada.stage import Context, In, Out, Round
from intrada.tables import PIXELS

READS = ("compute", "classes", "model", "score")


def run(
    params: Params,
    target: Annotated[Path, In("index.csv of the target images", index=True)],
    model: Annotated[Path, In("the model of step 1, or of the round before")],
    out: Annotated[Path, Out("scores.csv: image, entropy, pixels per predicted class")],
    predictions: Annotated[Path, Out("folder of predicted label maps (PNG, class indices)")],
    confidence: Annotated[Path, Out("folder of confidence maps (PNG, 255 = the softmax maximum is 1)")],
    context: Context,
    round: Annotated[str, Round()] = "",
) -> None:
    """Mean pixel entropy of G's prediction, the score of IntraDA's section 3.2, in evaluation mode."""
    device = prepare(params.compute)
    classes = labels.class_set(params.classes)
    predictor = load_for_inference(params, classes, [model], device)
    index = tables.read(target, tables.INDEX)
    with files.atomic_folder(predictions) as predicted, files.atomic_folder(confidence) as sure:
        batch_size = params.score.batch_size
        table = score(predictor, index, batch_size, (predicted, sure), classes, device, context)
    tables.write(out, table, tables.SCORES)


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
