"""How sure the models are, on the page: entropies, and whether confident pixels are correct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from intrada.evaluation import validators
from intrada.evaluation.reporting.results import decimal
from intrada.evaluation.reporting.svg import Axes, span, tag

MAX_DOTS = 600  # images in the scatter plot; more are an even sample
FEWEST = 0.001  # share of the pixels below which a range of confidence is not drawn
STYLES = 6  # colours of the models: classes m0, m1, ...


@dataclass(frozen=True)
class Confidence:
    """rows: a model with its numbers as text, see `build`. entropies: chart of the images' entropies.

    reliability, scatter: charts, None without labels. correlation: of entropy and mIoU of an image
    (Spearman), as text, with the number of images.
    """

    rows: list[tuple[str, ...]]
    entropies: Markup
    reliability: Markup | None
    scatter: Markup | None
    correlation: str


def build(
    models: Mapping[str, dict[str, Any]],
    reliability: Mapping[str, pd.DataFrame],
    images: Mapping[str, pd.DataFrame],
) -> Confidence:
    """Return the section.

    models: of findings.json; reliability, images: model -> reliability.csv, images.csv.
    A row has mean entropy, mutual information, effective number of classes and calibration error.
    """
    keys = {"mean_entropy": 3, "mutual_information": 3, "effective_classes": 1, "calibration_error": 1}
    rows = [
        (name, *(decimal(found[key], digits) for key, digits in keys.items()))
        for name, found in models.items()
    ]
    entropies, last = _entropies(images), list(images)[-1]
    labelled = images[last].dropna(subset="mIoU")
    if labelled.empty:
        return Confidence(rows, entropies, None, None, "")
    rank = labelled[["entropy", "mIoU"]].corr(method="spearman").to_numpy()[0, 1]
    correlation = f"{decimal(float(rank), 2)} on {len(labelled)} images"
    return Confidence(rows, entropies, _reliability(reliability), _scatter(labelled, last), correlation)


def _entropies(images: Mapping[str, pd.DataFrame]) -> Markup:
    """Draw the sorted entropies of the images, a line for each model."""
    highest = max(float(table["entropy"].max()) for table in images.values())
    axes = Axes((0, 100), (0, 1.05 * highest), "images, percent, the surest first", "entropy of the image")
    marks = []
    for number, (name, table) in enumerate(images.items()):
        values = np.sort(table["entropy"].to_numpy(np.float64))
        chosen = validators.even_sample(len(values), MAX_DOTS)
        places = 100 * chosen / max(1, len(values) - 1)
        marks.append(axes.line(zip(places, values[chosen], strict=True), f"m{number % STYLES}", name))
    return axes.chart("sorted entropies of the evaluation images, for each model", *marks)


def _reliability(tables: Mapping[str, pd.DataFrame]) -> Markup:
    """Draw the accuracy of the pixels of each range of confidence; on the diagonal they are equal."""
    whole = (0.0, 100.0)
    axes = Axes(whole, whole, "confidence of the pixels, percent", "correct pixels, percent")
    marks = [axes.line([(0, 0), (100, 100)], "rule", "confidence equals accuracy")]
    for number, (name, table) in enumerate(tables.items()):
        style = f"m{number % STYLES}"
        table = table.assign(share=table["pixels"] / table["pixels"].sum())
        table = table[table["share"] >= FEWEST]
        share, points = table["share"], list(zip(table["confidence"], table["accuracy"], strict=True))
        marks.append(axes.line(points, style, name))
        for point, part in zip(points, share, strict=True):
            sure, correct, percent = map(decimal, (*point, 100 * part))
            text = f"{name}: confidence {sure}, correct {correct}, {percent} % of the pixels"
            marks.append(axes.dot(point, style, text, 2.5 + 4 * float(part)))
    return axes.chart("reliability: share of correct pixels by confidence, for each model", *marks)


def _scatter(images: pd.DataFrame, last: str) -> Markup:
    chosen = images.iloc[validators.even_sample(len(images), MAX_DOTS)]
    across, up = span(chosen["entropy"]), span(chosen["mIoU"])
    axes = Axes(
        across,
        (max(0.0, up[0]), min(100.0, up[1])),
        f"entropy of the image under {last}",
        "mIoU of the image, percent",
    )
    marks = []
    for name, subset, entropy, miou in chosen[["id", "subset", "entropy", "mIoU"]].to_numpy(object):
        text = f"{name}: entropy {entropy:.3f}, mIoU {miou:.1f}"
        marks.append(axes.dot((float(entropy), float(miou)), str(subset), text))
    return axes.chart(
        "mIoU against entropy, one dot for each evaluation image", tag("g", *marks, class_="dots")
    )
