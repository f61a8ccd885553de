"""Every snapshot of a run: a criterion without labels, mIoU where there are labels, and their choices."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.distributed.launcher import Rank, in_turn
from intrada.core.distributed.map_devices import on_every_device
from intrada.core.stage import Choice, Context, In, Out
from intrada.data import tables
from intrada.evaluation import evaluator, validators
from intrada.evaluation.metrics import Confusion, miou
from intrada.inference.predictor import load_for_inference
from intrada.models import model_info

READS = ("compute", "classes", "model", "evaluate_snapshots")
TOGETHER = 8  # models on the device at a time; each image is read once for so many


class Judged(NamedTuple):
    """One model on the images of one process: the sample's, batch by batch, and the confusion (C, C)."""

    confidence: list[list[evaluator.ImageStats]]
    right: Confusion


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
    """See validators.py for the rules. `select` in the params says which of the models goes on."""
    paths = [*sorted(snapshots.glob("*.safetensors")), model]
    index, evaluated = tables.read(target, tables.INDEX), tables.read_images(images)
    sample = index.iloc[validators.even_sample(len(index), params.evaluate_snapshots.images)]
    ranks = on_every_device(params.compute, context, _judged, params, paths, sample, evaluated)
    rows: list[tuple[int, float, float]] = []
    for path, judged in zip(paths, zip(*ranks, strict=True), strict=True):
        iteration = model_info.iteration(path)
        information = evaluator.mutual_information(in_turn([each.confidence for each in judged]))
        rows.append((iteration, information, 100 * miou(sum(each.right for each in judged))))
    found = pd.DataFrame(rows, columns=["iteration", "information", "mIoU"])
    chosen = validators.choose(found)
    tables.write(table, chosen, tables.SNAPSHOTS)
    for rule, out in ((validators.LABEL_FREE, label_free), (validators.ORACLE, oracle)):
        places = np.flatnonzero(chosen[rule])
        with files.atomic_file(out) as temporary:
            shutil.copyfile(paths[int(places[0]) if len(places) else -1], temporary)


def _judged(
    rank: Rank,
    device: torch.device,
    params: Params,
    paths: list[Path],
    sample: pd.DataFrame,
    evaluated: pd.DataFrame,
    context: Context,
) -> list[Judged]:
    classes, size = params.class_set, params.evaluate_snapshots.batch_size
    found: list[Judged] = []
    for some in (paths[i : i + TOGETHER] for i in range(0, len(paths), TOGETHER)):
        predictors = [load_for_inference(params, classes, [path], device) for path in some]
        confidence = evaluator.image_stats(predictors, sample, size, device, context, rank)
        right = evaluator.measure(predictors, evaluated, size, device, context, False, rank)
        found += map(Judged, confidence, [results.confusions.sum(0) for results in right])
    return found
