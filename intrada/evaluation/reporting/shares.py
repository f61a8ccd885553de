"""Shares of the pixels by class, on the page: what each model predicts, and what pseudo-labels keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from intrada.core.config.classes import ClassSet
from intrada.evaluation.reporting.classes import hex_color
from intrada.evaluation.reporting.results import decimal

REFERENCES = {"labels": "labels", "source_labels": "labels of the source"}


@dataclass(frozen=True)
class Share:
    """A class with its share in percent of the pixels of the reference, and of each model's predictions.

    is_vanished: the last model hardly predicts the class any more.
    """

    name: str
    color: str
    reference: float
    models: list[float]
    is_vanished: bool


@dataclass(frozen=True)
class Shares:
    """reference: whose shares the models are compared with; widest: the highest share of all, percent."""

    rows: list[Share]
    reference: str
    widest: float


@dataclass(frozen=True)
class Pseudo:
    """A class in the pseudo-labels, all in percent, "-" if unknown.

    predicted: share of the pixels predicted on all target images; kept: share of the pseudo-labels' pixels.
    kept_part: of the pixels predicted on easy images, those that the pseudo-labels keep. precision: those of
    them that are correct; iou: of the class. Both need labels. is_starved: kept is far below predicted.
    """

    name: str
    color: str
    predicted: float
    kept: float
    kept_part: str
    precision: str
    iou: str
    is_starved: bool


def build(table: pd.DataFrame, models: Sequence[str], classes: ClassSet, vanished: Sequence[str]) -> Shares:
    """Return the section. table: shares.csv of analyse; vanished: classes that the last model lost."""
    reference = "labels" if table["labels"].notna().any() else "source_labels"
    rows = [
        Share(
            entry.name,
            hex_color(entry.color),
            float(row[reference]),
            [float(row[name]) for name in models],
            entry.name in vanished,
        )
        for entry, (_, row) in zip(classes.classes, table.iterrows(), strict=True)
    ]
    values = [value for row in rows for value in (row.reference, *row.models) if not math.isnan(value)]
    return Shares(rows, REFERENCES[reference], max([*values, 1.0]))


def pseudo_labels(
    table: pd.DataFrame,
    kept: pd.DataFrame,
    classes: ClassSet,
    starved: Sequence[str],
    by_class: Sequence[dict[str, Any]] | None,
) -> list[Pseudo]:
    """Return the classes of the pseudo-labels; none if nothing was kept, as where no image is easy.

    table: shares.csv; kept: classes.csv of pseudo_label; starved: names of classes; by_class: of the
    diagnosis, None without labels.
    """
    if not kept["kept"].any():
        return []
    none = {"precision": None, "iou": None}
    quality = by_class or [none] * len(classes)
    return [
        Pseudo(
            entry.name,
            hex_color(entry.color),
            float(share["target_predicted"]),
            float(share["pseudo_labels"]),
            decimal(100 * count["kept"] / count["predicted"] if count["predicted"] else None),
            decimal(found["precision"]),
            decimal(found["iou"]),
            entry.name in starved,
        )
        for entry, (_, share), (_, count), found in zip(
            classes.classes, table.iterrows(), kept.iterrows(), quality, strict=True
        )
    ]
