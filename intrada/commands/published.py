"""Evaluate a published checkpoint without the rest of the pipeline.

Runs two stages: preprocess of the evaluation images, and evaluate. All results are below one folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from intrada.core.plain_text import say
from intrada.core.stage import FloatList, In, Out
from intrada.pipeline import stage_runner


def run(
    params: Annotated[Path, In("params file with the model, classes and preprocess.val: one of presets/")],
    model: Annotated[list[Path], In("the checkpoint, ours or published; several: an ensemble", many=True)],
    root: Annotated[Path, In("folder of the raw evaluation data, such as data/raw/Cityscapes", raw=True)],
    out: Annotated[Path, Out("folder for the results, inside the project", inside=True)],
    weights: Annotated[
        Sequence[float], FloatList("weights of the models of an ensemble, in their order; default: equal")
    ] = (),
) -> None:
    """Write OUT/metrics.json and the other outputs of the evaluate stage, and print the metrics."""
    index, images, labels = out / "val/index.csv", out / "val/images", out / "val/labels"
    preprocessed = {"index": index, "images": images, "label_folder": labels}
    stage_runner.execute("preprocess", params, {"domain": "val", "root": root, **preprocessed})
    outputs = {
        "metrics": out / "metrics.json",
        "class_iou": out / "classes.csv",
        "confusion": out / "confusion.csv",
        "table": out / "images.csv",
        "samples": out / "samples",
        "predictions": out / "predictions",
        "reliability": out / "reliability.csv",
    }
    inputs = {"name": out.name, "images": index, "model": model, "weights": weights}
    stage_runner.execute("evaluate", params, {**inputs, **outputs})
    say(*outputs["metrics"].read_text(encoding="utf-8").splitlines(), "")
