"""Evaluate a model or an ensemble: metrics on the evaluation images, and sample predictions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch

from intrada.core import cli_types, files
from intrada.core.cli_types import ImageSize
from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Params
from intrada.core.distributed.device import acquire_device
from intrada.core.distributed.launcher import Rank
from intrada.core.distributed.map_devices import INFERENCE, map_devices
from intrada.core.stage import Choice, Context, FloatList, In, Option, Out
from intrada.data import tables
from intrada.evaluation import evaluator
from intrada.evaluation.metrics import Confusion, iou
from intrada.inference import cityscapes_server
from intrada.inference.predictor import Predictor, load_for_inference

READS = (*INFERENCE, "classes", "model", "evaluate")


def run(
    params: Params,
    name: Annotated[str, Choice("name of the model: source, inter, intra, or any other name")],
    images: Annotated[
        Path,
        In("index.csv of the evaluation images, or images.csv of another model's evaluation", index=True),
    ],
    model: Annotated[
        list[Path],
        In("the model to evaluate, of this project or published; several form an ensemble", many=True),
    ],
    metrics: Annotated[Path, Out("mIoU, mIoU_easy, mIoU_hard, pixel_accuracy in percent (JSON)")],
    class_iou: Annotated[Path, Out("IoU per class in percent (CSV)")],
    confusion: Annotated[Path, Out("confusion matrix in pixels, rows are the truth (CSV)")],
    table: Annotated[Path, Out("images.csv: the index with entropy and subset (easy or hard)")],
    samples: Annotated[Path, Out("folder of predictions and entropy maps of sample images")],
    context: Context,
    weights: Annotated[
        Sequence[float], FloatList("weights of an ensemble's models, in their order; default: equal weights")
    ] = (),
    label_ids: Annotated[
        Path | None, Out("folder of all predictions as PNGs with Cityscapes label ids", optional=True)
    ] = None,
    size: Annotated[
        ImageSize | None,
        Option(
            "size of label_ids for an image without a label, e.g. 2048x1024", "WIDTHxHEIGHT", cli_types.size
        ),
    ] = None,
) -> None:
    """Evaluate one model, or an ensemble that averages as `evaluate.combine` says.

    The third of the images with the highest entropy is hard, the rest is easy; lambda has no influence.
    With an index.csv, the entropies are those of this model. With the images.csv of another model, its
    subsets are used; the pipeline passes the one of the inter model to all models.
    """
    classes = params.class_set
    index = tables.read_images(images)
    ensemble = (params, model, weights)
    has_subset = "subset" in index  # of another model
    ranks = map_devices(params.compute, context, _measure, *ensemble, index, not has_subset)
    results = reduce(operator.add, ranks)
    if results.entropy is not None:
        index = evaluator.assign_subsets(index, results.entropy)
    files.write_json(metrics, evaluator.summary(results.confusions, index["subset"], classes))
    write_tables(results.confusions.sum(0), classes, class_iou, confusion)
    tables.write(table, index, tables.IMAGES)
    chosen = evaluator.choose_samples(index, params.evaluate.samples, params.evaluate.gallery)
    device = acquire_device(params.compute, params.compute.inference_threads)
    with files.atomic_folder(samples) as folder:
        evaluator.write_samples(_load(*ensemble, device), chosen, folder, classes.palette(), device)
    if label_ids:
        with files.atomic_folder(label_ids) as folder:
            map_devices(params.compute, context, _write_label_ids, *ensemble, index, folder, size)


def _load(params: Params, model: list[Path], weights: Sequence[float], device: torch.device) -> Predictor:
    classes = params.class_set
    return load_for_inference(params, classes, model, device, weights, params.evaluate.combine)


def _measure(
    rank: Rank,
    device: torch.device,
    params: Params,
    model: list[Path],
    weights: Sequence[float],
    index: pd.DataFrame,
    entropies: bool,
    context: Context,
) -> evaluator.Results:
    """Return the results of the images of one process."""
    predictor, size = _load(params, model, weights, device), params.evaluate.batch_size
    (results,) = evaluator.measure([predictor], index, size, device, context, entropies, rank)
    return results


def _write_label_ids(
    rank: Rank,
    device: torch.device,
    params: Params,
    model: list[Path],
    weights: Sequence[float],
    index: pd.DataFrame,
    folder: Path,
    size: ImageSize | None,
    context: Context,
) -> None:
    """Write the label ids of the images of one process."""
    classes = params.class_set
    predictor = _load(params, model, weights, device)
    cityscapes_server.write(predictor, index, folder, classes, size, device, context, rank)


def write_tables(total: Confusion, classes: ClassSet, class_iou: Path, confusion: Path) -> None:
    """Write the IoU (percent, empty for an absent class) and labelled pixels per class, and the matrix."""
    percent = 100 * iou(total)
    frame = pd.DataFrame({"class": classes.names, "iou": percent, "pixels": total.sum(1)})
    files.write_csv(class_iou, frame)
    matrix = pd.DataFrame(total, columns=list(classes.names))
    matrix.insert(0, "truth", list(classes.names))
    files.write_csv(confusion, matrix)
