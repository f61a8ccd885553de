"""Evaluate the snapshots of a training run, and copy those that the rules of validators.py choose."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.distributed.launcher import Rank, interleave
from intrada.core.distributed.map_devices import INFERENCE, map_devices
from intrada.core.stage import Choice, Context, In, Out
from intrada.data import tables
from intrada.evaluation import criteria, evaluator, snapshot_stats, validators
from intrada.evaluation.metrics import Confusion, miou
from intrada.evaluation.pixel_stats import Collector
from intrada.evaluation.snapshot_stats import ImageStats, Totals, mean_agreements
from intrada.inference.predictor import load_for_inference
from intrada.models import model_info

READS = (*INFERENCE, "classes", "model", "evaluate_snapshots")
GROUP = 8  # models on the device at a time; each image is read once per group


class SnapshotStats(NamedTuple):
    """The statistics of one model on the images of one process.

    target: of the sampled target images, by batch; agreements: of each of them with the mean of the models;
    source, images: (C, C) int64, confusion matrices of the sampled source images and the evaluation images;
    confidence: (LEVELS + 1, 2) int64, see PixelStats, of the source images.
    """

    target: list[list[ImageStats]]
    agreements: list[list[float]]
    source: Confusion
    confidence: NDArray[np.int64]
    images: Confusion


def run(
    params: Params,
    name: Annotated[str, Choice("the training run: source, inter, intra, or a round")],
    model: Annotated[Path, In("the model at the end of training")],
    snapshots: Annotated[Path, In("folder of the snapshots of the training run")],
    target: Annotated[Path, In("index.csv of the target images, whose labels are not read", index=True)],
    source: Annotated[Path, In("index.csv of the source images, on which the model was trained", index=True)],
    images: Annotated[Path, In("index.csv of the evaluation images", index=True)],
    table: Annotated[Path, Out("iteration, criteria, mIoU and the choosing rules of each snapshot (CSV)")],
    label_free: Annotated[Path, Out("the model that the label-free rule chooses")],
    oracle: Annotated[Path, Out("the model with the highest mIoU; without labels, the last")],
    context: Context,
) -> None:
    """Evaluate the snapshots and the last model. `select` in the params names the one in use."""
    paths = [*sorted(snapshots.glob("*.safetensors")), model]
    samples = {
        name: _sample(tables.read(path, tables.INDEX), params)
        for name, path in (("target", target), ("source", source))
    }
    evaluated = tables.read_images(images)
    ranks = map_devices(params.compute, context, _evaluate, params, paths, samples, evaluated)
    rows = [
        {"iteration": model_info.iteration(path)} | _row(by_rank)
        for path, by_rank in zip(paths, zip(*ranks, strict=True), strict=True)
    ]
    snapshot_table = pd.DataFrame(rows)
    chosen = validators.choose(snapshot_table)
    tables.write(table, chosen, tables.SNAPSHOTS)
    for rule, out in ((validators.LABEL_FREE, label_free), (validators.ORACLE, oracle)):
        selected = np.flatnonzero(chosen[rule])
        with files.atomic_file(out) as temporary:
            shutil.copyfile(paths[int(selected[0]) if len(selected) else -1], temporary)


def _sample(index: pd.DataFrame, params: Params) -> pd.DataFrame:
    return index.iloc[validators.even_sample(len(index), params.evaluate_snapshots.images)]


def _row(by_rank: Sequence[SnapshotStats]) -> dict[str, float]:
    """Return the criteria and the mIoU of one model, from the results of all processes."""
    batches = interleave([result.target for result in by_rank])
    images = [image for batch in batches for image in batch]
    agreements = [value for batch in interleave([result.agreements for result in by_rank]) for value in batch]
    confidence = np.sum([image.confidence for image in images], axis=0)
    of_source = np.sum([result.confidence for result in by_rank], axis=0)
    estimate = criteria.estimated_accuracy(of_source, confidence)
    return snapshot_stats.of_target(images) | {
        "mean_agreement": sum(agreements) / len(agreements),
        "source_mIoU": 100 * miou(np.sum([result.source for result in by_rank], axis=0)),
        "estimated_accuracy": 100 * estimate,
        "mIoU": 100 * miou(np.sum([result.images for result in by_rank], axis=0)),
    }


def _evaluate(
    rank: Rank,
    device: torch.device,
    params: Params,
    paths: list[Path],
    samples: dict[str, pd.DataFrame],
    evaluated: pd.DataFrame,
    context: Context,
) -> list[SnapshotStats]:
    """Return the statistics of each model on the images of one process. samples: of target and source."""
    classes, size, source = params.class_set, params.evaluate_snapshots.batch_size, samples["source"]
    window = params.evaluate_snapshots.window
    totals: Totals = {}
    results: list[SnapshotStats] = []
    for group in (paths[i : i + GROUP] for i in range(0, len(paths), GROUP)):
        predictors = [load_for_inference(params, classes, [path], device, window=window) for path in group]
        arguments = (size, device, context)
        stats = snapshot_stats.image_stats(predictors, samples["target"], *arguments, totals, rank)
        collectors = [Collector(len(source), len(classes)) for _ in group]
        on_source = evaluator.measure(predictors, source, *arguments, collectors, rank)
        measured = evaluator.measure(predictors, evaluated, *arguments, rank=rank)
        results += [
            SnapshotStats(batches, [], labelled.sum(0), collector.stats.confidence, images.sum(0))
            for batches, labelled, collector, images in zip(
                stats, on_source, collectors, measured, strict=True
            )
        ]
    return [
        result._replace(agreements=[mean_agreements(batch, totals) for batch in result.target])
        for result in results
    ]
