"""Evaluate a model or an ensemble: metrics on the evaluation images, and sample predictions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from intrada.core import cli_types, files
from intrada.core.cli_types import ImageSize
from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Params
from intrada.core.distributed.device import acquire_device
from intrada.core.distributed.launcher import Rank
from intrada.core.distributed.map_devices import INFERENCE, map_devices
from intrada.core.stage import Choice, Context, FloatList, In, Option, Out
from intrada.data import tables
from intrada.evaluation import evaluator, pixel_stats
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
    metrics: Annotated[Path, Out("mIoU and pixel accuracy in percent, entropy, mutual information (JSON)")],
    class_iou: Annotated[Path, Out("IoU per class, shares of the labelled and predicted pixels (CSV)")],
    confusion: Annotated[Path, Out("confusion matrix in pixels, rows are the truth (CSV)")],
    table: Annotated[Path, Out("images.csv: the index with entropy, subset (easy or hard), mIoU, accuracy")],
    samples: Annotated[Path, Out("folder of predictions and entropy maps of sample images")],
    predictions: Annotated[Path, Out("folder of the predicted label maps of all images (PNG)")],
    reliability: Annotated[Path, Out("accuracy of the labelled pixels by confidence (CSV)")],
    context: Context,
    weights: Annotated[
        Sequence[float], FloatList("weights of an ensemble's models, in their order; default: equal weights")
    ] = (),
    label_ids: Annotated[
        Path | None, Out("folder of all predictions as PNGs with Cityscapes label ids", optional=True)
    ] = None,
    counts: Annotated[Path | None, Out("pixels per image and class (CSV)", optional=True)] = None,
    size: Annotated[
        ImageSize | None,
        Option(
            "size of label_ids for an image without a label, e.g. 2048x1024", "WIDTHxHEIGHT", cli_types.size
        ),
    ] = None,
) -> None:
    """Evaluate one model, or an ensemble that averages as `evaluate.combine` says.

    The third of the images with the highest entropy is hard, the rest is easy; lambda has no influence.
    With an index.csv, the subsets and samples are chosen by the entropies of this model. With the images.csv
    of another model, its subsets and entropies are used; the pipeline passes that of inter to all models.
    """
    classes, index = params.class_set, tables.read_images(images)
    ensemble = (params, model, weights)
    with files.atomic_folder(predictions) as folder:
        ranks = map_devices(params.compute, context, _measure, *ensemble, index, folder)
    confusions, pixels = (reduce(operator.add, values) for values in zip(*ranks, strict=True))
    if "subset" not in index:  # else of another model
        index = evaluator.assign_subsets(index, pixels.entropy)
    chosen = evaluator.choose_samples(index, params.evaluate.samples, params.evaluate.gallery)
    files.write_json(metrics, evaluator.summary(confusions, index["subset"], classes) | pixels.label_free())
    write_tables(confusions.sum(0), pixels.predicted.sum(0), classes, class_iou, confusion)
    of_images = evaluator.of_images(confusions)
    tables.write(table, index.assign(entropy=pixels.entropy, **of_images), tables.IMAGES)
    tables.write(reliability, pixel_stats.reliability(pixels.confidence), tables.RELIABILITY)
    if counts:
        tables.write(counts, evaluator.counts(confusions, [*index["id"]], classes), tables.COUNTS)
    device = acquire_device(params.compute, params.compute.inference_threads)
    with files.atomic_folder(samples) as folder:
        evaluator.write_samples(_load(*ensemble, device), chosen, folder, classes.palette(), device)
    if label_ids:
        with files.atomic_folder(label_ids) as folder:
            map_devices(params.compute, context, _write_label_ids, *ensemble, index, folder, size)


def _load(params: Params, model: list[Path], weights: Sequence[float], device: torch.device) -> Predictor:
    classes = params.class_set
    block = params.evaluate
    return load_for_inference(params, classes, model, device, weights, block.combine, block.window)


def _measure(
    rank: Rank,
    device: torch.device,
    params: Params,
    model: list[Path],
    weights: Sequence[float],
    index: pd.DataFrame,
    folder: Path,
    context: Context,
) -> tuple[Confusion, pixel_stats.PixelStats]:
    """Return the results of the images of one process, and write their label maps to `folder`."""
    predictor, size, classes = (
        _load(params, model, weights, device),
        params.evaluate.batch_size,
        params.class_set,
    )
    with pixel_stats.map_writer(folder, classes.palette(), context.workers) as write:
        collector = pixel_stats.Collector(len(index), len(classes), write)
        (confusions,) = evaluator.measure([predictor], index, size, device, context, [collector], rank)
    return confusions, collector.stats


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


def write_tables(
    total: Confusion, predicted: NDArray[np.int64], classes: ClassSet, class_iou: Path, confusion: Path
) -> None:
    """Write the IoU (percent, empty for an absent class) and labelled pixels per class, and the matrix.

    total: (C, C) int64, pixels, rows are the truth; predicted: (C,) int64, the pixels of all images, labelled
    or not, that are predicted as each class. The columns labelled_share and predicted_share are in percent.
    """
    labelled = total.sum(1)
    frame = pd.DataFrame({"class": classes.names, "iou": 100 * iou(total), "pixels": labelled})
    frame["labelled_share"] = 100 * labelled / labelled.sum() if labelled.any() else np.nan
    frame["predicted_share"] = 100 * predicted / predicted.sum()
    files.write_csv(class_iou, frame)
    matrix = pd.DataFrame(total, columns=list(classes.names))
    matrix.insert(0, "truth", list(classes.names))
    files.write_csv(confusion, matrix)
