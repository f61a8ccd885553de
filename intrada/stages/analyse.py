"""Compare the models with each other, with the labels if there are any, and with the pseudo-labels.

The tables need no label, except for those of IoU. `dvc plots` and `dvc metrics` show some of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.stage import Context, In, Out
from intrada.data import tables
from intrada.evaluation import agreement, criteria_quality, findings, plot_tables, suggestion
from intrada.evaluation.agreement import Pair
from intrada.evaluation.metrics import Confusion

READS = ("rounds",)
SUGGESTED = 10  # images in label_next.csv


def run(
    params: Params,
    evaluate: Annotated[Path, In("folder of the evaluations, with one subfolder per model")],
    snapshots: Annotated[Path, In("folder of the tables of snapshots, with one subfolder per model")],
    found: Annotated[Path, In("found.json of the check stage: labelled pixels of the source by class")],
    scores: Annotated[Path, In("scores.csv of the score stage")],
    target: Annotated[Path, In("index.csv of the target images", index=True)],
    kept: Annotated[Path, In("classes.csv of the pseudo_label stage")],
    summary: Annotated[Path, Out("findings.json: what stands out, of models, classes and images")],
    out: Annotated[Path, Out("folder of the tables (CSV)")],
    metrics: Annotated[Path, Out("folder of each model's metrics, rounded for `dvc metrics show` (JSON)")],
    context: Context,
) -> None:
    """Write the tables of the models' agreement, of the classes' shares, and what to label next."""
    names = ["source", "inter", "intra", *params.rounds]
    folders = {name: evaluate / name for name in names}
    classes = findings.class_names(folders["inter"])
    evaluations = {name: findings.read(folder, classes) for name, folder in folders.items()}
    compared = agreement.pairs(names)
    images, matrices = _agreement(folders, compared, len(classes), context)
    scored = tables.read(scores, tables.SCORES)
    shares = findings.shares(
        classes,
        json.loads(found.read_text(encoding="utf-8"))["source"]["pixels"],
        evaluations,
        scored,
        tables.read(kept, tables.KEPT),
    )
    next_images = suggestion.table(
        scored, tables.read(target, tables.INDEX), SUGGESTED, suggestion.fingerprint_of_file
    )
    by_class = pd.DataFrame({"class": classes})
    for (first, second), matrix in zip(compared, matrices, strict=True):
        by_class[f"{first}_{second}"] = agreement.by_class(matrix)
    read_snapshots = {
        name: tables.read(snapshots / name / "snapshots.csv", tables.SNAPSHOTS) for name in names
    }
    with files.atomic_folder(out) as folder:
        tables.write(folder / "agreement.csv", images, tables.AGREEMENT)
        files.write_csv(folder / "agreement_classes.csv", by_class)
        files.write_csv(folder / "shares.csv", shares)
        tables.write(folder / "label_next.csv", next_images, tables.LABEL_NEXT)
        tables.write(folder / "criteria.csv", criteria_quality.table(read_snapshots), tables.CRITERIA)
        for name, table in plot_tables.tables(evaluations, read_snapshots, classes).items():
            files.write_csv(folder / f"{name}.csv", table)
    with files.atomic_folder(metrics) as folder:
        for name, evaluation in evaluations.items():
            files.write_json(folder / f"{name}.json", findings.rounded(evaluation.metrics))
    files.write_json(summary, findings.summary(evaluations, shares, images, compared, matrices, next_images))


def _agreement(
    folders: Mapping[str, Path], compared: list[Pair], classes: int, context: Context
) -> tuple[pd.DataFrame, list[Confusion]]:
    """Return a row per evaluation image and a matrix per pair; the maps of few images are in memory."""
    index = tables.read(folders["inter"] / "images.csv", tables.IMAGES)

    def matrices_of(image: str) -> list[Confusion]:
        maps = {
            name: files.read_label(folder / "predictions" / f"{image}.png")
            for name, folder in folders.items()
        }
        return agreement.joint(maps, compared, classes)

    totals = [np.zeros((classes, classes), np.int64) for _ in compared]
    rows: list[tuple[Any, ...]] = []
    with ThreadPoolExecutor(context.workers) as pool:
        found = context.progress(pool.map(matrices_of, index["id"]), len(index), "image")
        for image, matrices in zip(index["id"], found, strict=True):
            rows.append((image, *agreement.of_image(matrices)))
            totals = [total + matrix for total, matrix in zip(totals, matrices, strict=True)]
    columns = ["image", *(f"{first}_{second}" for first, second in compared)]
    return pd.DataFrame(rows, columns=columns), totals
