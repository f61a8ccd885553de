"""Every snapshot of a run: a criterion without labels, mIoU where there are labels, and their choices."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from intrada import evaluation, files, labels, selection, tables, weights
from intrada.device import prepare
from intrada.inference import load_for_inference
from intrada.metrics import miou
from intrada.params import Params
from intrada.stage import Choice, Context, In, Out

READS = ("compute", "classes", "model", "evaluate_snapshots")
TOGETHER = 8  # models on the device at a time; each image is read once for so many


def run(
    params: Params,
    name: Annotated[str, Choice("whose snapshots: source, inter, intra, or a round")],
    model: Annotated[Path, In("the model at the end of training")],
    snapshots: Annotated[Path, In("folder of the models that training kept on its way")],
    target: Annotated[Path, In("index.csv of the target images, whose labels are not looked at", index=True)],
    images: Annotated[Path, In("index.csv of the evaluation images", index=True)],
    table: Annotated[Path, Out("iteration, information, mIoU of each snapshot and who chooses it (CSV)")],
    label_free: Annotated[Path, Out("the model that the criterion without labels chooses")],
    oracle: Annotated[Path, Out("the model that the evaluation labels choose; without labels, the last")],
    context: Context,
) -> None:
    """See selection.py for the rules. `select` in the params says which of the models goes on."""
    device = prepare(params.compute)
    classes = labels.class_set(params.classes)
    paths = [*sorted(snapshots.glob("*.safetensors")), model]
    block = params.evaluate_snapshots
    index, evaluated = tables.read(target, tables.INDEX), tables.read_images(images)
    sample = index.iloc[selection.even_sample(len(index), block.images)]
    rows: list[tuple[int, float, float]] = []
    for some in (paths[i : i + TOGETHER] for i in range(0, len(paths), TOGETHER)):
        predictors = [load_for_inference(params, classes, [path], device) for path in some]
        sure = evaluation.information(predictors, sample, block.batch_size, device, context)
        right = evaluation.measure(predictors, evaluated, block.batch_size, device, context, False)
        for path, information, results in zip(some, sure, right, strict=True):
            iteration = int(weights.read_metadata(path)["iteration"])
            rows.append((iteration, information, 100 * miou(results.confusions.sum(0))))
    found = pd.DataFrame(rows, columns=["iteration", "information", "mIoU"])
    chosen = selection.choose(found)
    tables.write(table, chosen, tables.SNAPSHOTS)
    for rule, out in ((selection.LABEL_FREE, label_free), (selection.ORACLE, oracle)):
        places = np.flatnonzero(chosen[rule])
        with files.atomic_file(out) as temporary:
            shutil.copyfile(paths[int(places[0]) if len(places) else -1], temporary)
