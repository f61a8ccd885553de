"""Evaluate a checkpoint that somebody published, without the rest of the pipeline.

Two stages in one command: preprocess for the evaluation images, and evaluate. Everything is written below
one folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from intrada.core.stage import FloatList, In, Out
from intrada.pipeline import stage_runner


def run(
    params: Annotated[Path, In("params file with the model, classes and preprocess.val: one of presets/")],
    model: Annotated[list[Path], In("the checkpoint, ours or published; several: an ensemble", many=True)],
    root: Annotated[Path, In("folder of the raw evaluation data, such as data/raw/Cityscapes", raw=True)],
    out: Annotated[Path, Out("folder of the results, inside the project")],
    weights: Annotated[
        Sequence[float], FloatList("of an ensemble's models, in their order; left out: all alike")
    ] = (),
) -> None:
    """Write OUT/metrics.json and what else the evaluate stage writes, and print the metrics."""
    index, images, labels = out / "val/index.csv", out / "val/images", out / "val/labels"
    for_inference = {"index": index, "images": images, "label_folder": labels}
    stage_runner.execute("preprocess", params, {"domain": "val", "root": root, **for_inference})
    written = {
        "metrics": out / "metrics.json",
        "class_iou": out / "classes.csv",
        "confusion": out / "confusion.csv",
        "table": out / "images.csv",
        "samples": out / "samples",
    }
    asked = {"name": out.name, "images": index, "model": model, "weights": weights}
    stage_runner.execute("evaluate", params, {**asked, **written})
    print(written["metrics"].read_text(encoding="utf-8"))
