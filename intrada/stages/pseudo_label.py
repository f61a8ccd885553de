"""Write pseudo-labels for the easy images from the predictions of the score stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.stage import Context, In, Out, RoundOption
from intrada.data import tables
from intrada.methods import pseudo_labels

READS = ("classes", "pseudo_label")


def run(
    params: Params,
    split: Annotated[Path, In("split.csv of the rank stage")],
    target: Annotated[Path, In("index.csv of the target images")],
    predictions: Annotated[Path, In("folder of predicted label maps from the score stage")],
    confidence: Annotated[Path, In("folder of confidence maps from the score stage")],
    easy: Annotated[Path, Out("index.csv of the easy images with their pseudo-labels")],
    hard: Annotated[Path, Out("index.csv of the hard images")],
    out: Annotated[
        Path,
        Out("folder of pseudo-label PNGs: class indices in the classes' colours, 255 ignored", inside=True),
    ],
    kept: Annotated[Path, Out("classes.csv: pixels predicted and kept of each class, in the easy images")],
    context: Context,
    round: Annotated[str, RoundOption()] = "",
) -> None:
    """Keep the predicted class of a pixel if its confidence is at least `pseudo_label.min_confidence`.

    Of each predicted class, only the fraction `pseudo_label.class_share` of its pixels with the highest
    confidence is kept. All other pixels become 255. With 0 and 1 every pixel is kept. Hard images have no
    pseudo-label. Raises UserError if the split and the index have different images.
    """
    ranked = tables.read(split, tables.SPLIT)
    index = _in_rank_order(tables.read(target, tables.INDEX), ranked, split)
    is_easy = (ranked["subset"] == tables.EASY).to_numpy()
    chosen = index[is_easy].copy()
    classes, block = params.class_set, params.pseudo_label
    thresholds = None
    if (share := block.class_share) < 1:
        thresholds = _class_thresholds(chosen["id"], predictions, confidence, len(classes), share)
    palette, counts = classes.palette(), np.zeros((2, 256), np.int64)
    with files.atomic_folder(out) as folder:
        for name in context.progress(chosen["id"], len(chosen), "image"):
            prediction = files.read_label(predictions / f"{name}.png")
            values = files.read_label(confidence / f"{name}.png")
            selected = pseudo_labels.select(prediction, values, block.min_confidence, thresholds)
            files.write_label(folder / f"{name}.png", selected, palette)
            counts += [np.bincount(labels.ravel(), minlength=256) for labels in (prediction, selected)]
    chosen["label"] = [(out / f"{name}.png").as_posix() for name in chosen["id"]]
    tables.write(easy, chosen, tables.INDEX)
    tables.write(hard, index[~is_easy], tables.INDEX)
    predicted, selected_pixels = counts[:, : len(classes)]
    by_class = pd.DataFrame({"class": classes.names, "predicted": predicted, "kept": selected_pixels})
    tables.write(kept, by_class, tables.KEPT)


def _class_thresholds(
    names: pd.Series, predictions: Path, confidence: Path, classes: int, share: float
) -> NDArray[np.float64]:
    """Return the threshold of each class, (C,), over all named images together.

    A class can have a high confidence in one image and a low one in another.
    """
    counts = np.zeros(classes * 256, np.int64)
    for name in names:
        prediction = files.read_label(predictions / f"{name}.png").astype(np.int64)
        values = files.read_label(confidence / f"{name}.png")
        counts += np.bincount((prediction * 256 + values).ravel(), minlength=classes * 256)
    return pseudo_labels.class_thresholds(counts.reshape(classes, 256), share)


def _in_rank_order(index: pd.DataFrame, ranked: pd.DataFrame, split: Path) -> pd.DataFrame:
    """Return the rows of the index in the order of the ranking; UserError if their images differ."""
    unknown_ids = sorted(set(index["id"]) ^ set(ranked["image"]))
    if unknown_ids:
        raise UserError(
            split,
            f"{len(unknown_ids)} images are in the split or in the target index only, {unknown_ids[0]} first",
            "the same images in both",
            "run score and rank again: this split belongs to other target images",
        )
    return index.set_index("id").loc[ranked["image"]].reset_index()[tables.INDEX_COLUMNS]
