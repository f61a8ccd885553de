"""Numbers and findings of the analyse stage, from the outputs of the other stages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import files
from intrada.data import tables
from intrada.data.tables import PIXELS
from intrada.evaluation import agreement
from intrada.evaluation import shares as class_shares
from intrada.evaluation.agreement import Pair
from intrada.evaluation.metrics import Confusion, pixel_accuracy

LEAST = 10  # images on which two models agree least
LABEL_FREE = ("mean_entropy", "mutual_information")  # metrics of 0..1; all others are in percent


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` wrote of one model: metrics.json, classes.csv, confusion.csv, reliability.csv.

    confusion: (C, C) int64, pixels, rows are the truth; all zero without labels.
    """

    metrics: dict[str, float | None]
    classes: pd.DataFrame
    confusion: Confusion
    reliability: pd.DataFrame


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes of the evaluation in `folder`, in their order."""
    return [*map(str, files.read_csv(folder / "classes.csv", ["class"])["class"])]


def read(folder: Path, classes: Sequence[str]) -> Evaluation:
    """Read the evaluation in `folder`; UserError if a file is invalid or has other classes."""
    by_class = files.read_csv(folder / "classes.csv", ["class", "iou", "labelled_share", "predicted_share"])
    matrix = files.read_csv(folder / "confusion.csv", ["truth"])
    for path, found in (("classes.csv", by_class["class"]), ("confusion.csv", matrix["truth"])):
        if [*map(str, found)] != [*classes]:
            allowed = f"the classes {', '.join(classes)}"
            raise files.unreadable(folder / path, f"classes {', '.join(map(str, found))}", allowed)
    return Evaluation(
        _metrics(folder / "metrics.json"),
        by_class,
        matrix.drop(columns="truth").to_numpy(np.int64),
        tables.read(folder / "reliability.csv", tables.RELIABILITY),
    )


def _metrics(path: Path) -> dict[str, float | None]:
    allowed = "the JSON that evaluate wrote, with mIoU and mean_entropy"
    try:
        values: dict[str, float | None] = json.loads(path.read_text(encoding="utf-8"))
        _ = values["mIoU"], values["mean_entropy"], values["mutual_information"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise files.unreadable(path, error, allowed) from error
    return values


def rounded(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the metrics as people compare them: percent with one decimal, LABEL_FREE with three."""
    return {
        key: None if value is None else round(value, 3 if key in LABEL_FREE else 1)
        for key, value in metrics.items()
    }


def shares(
    classes: Sequence[str],
    source: Mapping[str, int],
    evaluations: Mapping[str, Evaluation],
    scores: pd.DataFrame,
    kept: pd.DataFrame,
) -> pd.DataFrame:
    """Return shares.csv: a row per class, in percent of the pixels of each column; nan where there are none.

    source: labelled pixels of the source by class. Columns: class, source_labels; labels and one column per
    model, on the evaluation images; target_predicted: of the scored model on the target's training images;
    easy_predicted: the same on the easy ones; pseudo_labels: of the pixels kept.
    """
    first = next(iter(evaluations.values()))
    predicted = [scores[PIXELS + name].sum() for name in classes]
    columns: dict[str, Any] = {
        "source_labels": _percent([source.get(name, 0) for name in classes]),
        "labels": first.classes["labelled_share"],
        **{name: found.classes["predicted_share"] for name, found in evaluations.items()},
        "target_predicted": _percent(predicted),
        "easy_predicted": _percent(kept["predicted"]),
        "pseudo_labels": _percent(kept["kept"]),
    }
    return pd.DataFrame({"class": classes, **columns})


def _percent(counts: Any) -> NDArray[np.float64]:
    return 100 * class_shares.normalised(counts)


def calibration_error(reliability: pd.DataFrame) -> float | None:
    """Return the expected calibration error in percent; None without labels.

    It is the mean of |accuracy - confidence| over the bins, weighted by their pixels (Guo et al., ICML 2017).
    """
    if reliability.empty:
        return None
    gaps = (reliability["accuracy"] - reliability["confidence"]).abs()
    return float((gaps * reliability["pixels"]).sum() / reliability["pixels"].sum())


def summary(
    evaluations: Mapping[str, Evaluation],
    table: pd.DataFrame,
    images: pd.DataFrame,
    compared: Sequence[Pair],
    matrices: Sequence[Confusion],
    label_next: pd.DataFrame,
) -> dict[str, Any]:
    """Return findings.json.

    table: of `shares`; images: agreement.csv; matrices: one for each pair of `compared`. A class counts as
    vanished from a model's predictions compared with the labels of the evaluation images; without labels,
    compared with the source-only model's predictions.
    """
    names = [*evaluations]
    reference = "labels" if table["labels"].notna().all() else names[0]
    return {
        "models": {name: _of_model(found, table, name, reference) for name, found in evaluations.items()},
        "vanished_compared_with": reference,
        "pairs": {
            f"{first}_{second}": _of_pair(matrix, images, f"{first}_{second}")
            for (first, second), matrix in zip(compared, matrices, strict=True)
        },
        "starved_by_pseudo_labels": [
            {
                "class": table["class"].iloc[row],
                "target_predicted": float(table["target_predicted"].iloc[row]),
                "pseudo_labels": float(table["pseudo_labels"].iloc[row]),
            }
            for row in class_shares.starved(table["target_predicted"], table["pseudo_labels"])
        ],
        "label_next": [*label_next["image"]],
    }


def _of_model(found: Evaluation, table: pd.DataFrame, name: str, reference: str) -> dict[str, Any]:
    rows = class_shares.vanished(table[reference], table[name])
    return {
        **{key: found.metrics[key] for key in LABEL_FREE},
        "effective_classes": class_shares.effective_classes(table[name]),
        "calibration_error": calibration_error(found.reliability),
        "vanished_classes": [table["class"].iloc[row] for row in rows],
    }


def _of_pair(matrix: Confusion, images: pd.DataFrame, column: str) -> dict[str, Any]:
    least = agreement.least(images, column, LEAST)
    return {
        "agreement": None if math.isnan(share := 100 * pixel_accuracy(matrix)) else share,
        "least": [
            {"image": image, "agreement": value}
            for image, value in zip(least["image"], least[column], strict=True)
        ],
    }
