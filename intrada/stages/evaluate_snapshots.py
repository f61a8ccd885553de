"""Evaluate the snapshots of a training run, and copy those that the rules of validators.py choose."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.distributed.launcher import Rank, interleave
from intrada.core.distributed.map_devices import INFERENCE, map_devices
from intrada.core.stage import Choice, Context, In, Out
from intrada.data import tables
from intrada.evaluation import evaluator, validators
from intrada.evaluation.metrics import Confusion, miou
from intrada.inference.predictor import load_for_inference
from intrada.models import model_info

READS = (*INFERENCE, "classes", "model", "evaluate_snapshots")
GROUP = 8  # models on the device at a time; each image is read once per group


class SnapshotStats(NamedTuple):
    """The statistics of one model on the images of one process.

    stats: of the sampled target images, by batch; confusion: (C, C) int64 of the evaluation images.
    """

    stats: list[list[evaluator.ImageStats]]
    confusion: Confusion


def run(
    params: Params,
    name: Annotated[str, Choice("the training run: source, inter, intra, or a round")],
    model: Annotated[Path, In("the model at the end of training")],
    snapshots: Annotated[Path, In("folder of the snapshots of the training run")],
    target: Annotated[Path, In("index.csv of the target images, whose labels are not read", index=True)],
    images: Annotated[Path, In("index.csv of the evaluation images", index=True)],
    table: Annotated[Path, Out("iteration, information, mIoU and the choosing rules of each snapshot (CSV)")],
    label_free: Annotated[Path, Out("the model that the label-free rule chooses")],
    oracle: Annotated[Path, Out("the model with the highest mIoU; without labels, the last")],
    context: Context,
) -> None:
    """Evaluate the snapshots and the last model. `select` in the params names the one in use."""
    paths = [*sorted(snapshots.glob("*.safetensors")), model]
    index, evaluated = tables.read(target, tables.INDEX), tables.read_images(images)
    sample = index.iloc[validators.even_sample(len(index), params.evaluate_snapshots.images)]
    ranks = map_devices(params.compute, context, _evaluate, params, paths, sample, evaluated)
    rows: list[tuple[int, float, float]] = []
    for path, by_rank in zip(paths, zip(*ranks, strict=True), strict=True):
        iteration = model_info.iteration(path)
        information = evaluator.mutual_information(interleave([result.stats for result in by_rank]))
        rows.append((iteration, information, 100 * miou(sum(result.confusion for result in by_rank))))
    snapshot_table = pd.DataFrame(rows, columns=["iteration", "information", "mIoU"])
    chosen = validators.choose(snapshot_table)
    tables.write(table, chosen, tables.SNAPSHOTS)
    for rule, out in ((validators.LABEL_FREE, label_free), (validators.ORACLE, oracle)):
        selected = np.flatnonzero(chosen[rule])
        with files.atomic_file(out) as temporary:
            shutil.copyfile(paths[int(selected[0]) if len(selected) else -1], temporary)


def _evaluate(
    rank: Rank,
    device: torch.device,
    params: Params,
    paths: list[Path],
    sample: pd.DataFrame,
    evaluated: pd.DataFrame,
    context: Context,
) -> list[SnapshotStats]:
    """Return the statistics of each model on the images of one process."""
    classes, size = params.class_set, params.evaluate_snapshots.batch_size
    window = params.evaluate_snapshots.window
    results: list[SnapshotStats] = []
    for group in (paths[i : i + GROUP] for i in range(0, len(paths), GROUP)):
        predictors = [load_for_inference(params, classes, [path], device, window=window) for path in group]
        stats = evaluator.image_stats(predictors, sample, size, device, context, rank)
        measured = evaluator.measure(predictors, evaluated, size, device, context, rank=rank)
        results += map(SnapshotStats, stats, [confusions.sum(0) for confusions in measured])
    return results
