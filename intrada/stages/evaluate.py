"""How good a model, or an ensemble, is on the evaluation images, and what it says of the extreme ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd

from intrada import evaluation, files, labels, submission, tables
from intrada.device import prepare
from intrada.inference import load_for_inference
from intrada.metrics import Confusion, iou
from intrada.params import Params
from intrada.stage import Choice, Context, In, Numbers, Out

READS = ("compute", "classes", "model", "evaluate")


def run(
    params: Params,
    name: Annotated[str, Choice("what to call the model: source, inter, intra, or a name of your own")],
    images: Annotated[
        Path,
        In("index.csv of the evaluation images, or the images.csv of another model's evaluation", index=True),
    ],
    model: Annotated[
        list[Path], In("the model to evaluate, ours or published; several: an ensemble", many=True)
    ],
    metrics: Annotated[Path, Out("mIoU, mIoU_easy, mIoU_hard, pixel_accuracy in percent (JSON)")],
    class_iou: Annotated[Path, Out("IoU per class in percent (CSV)")],
    confusion: Annotated[Path, Out("confusion matrix in pixels, rows are the truth (CSV)")],
    table: Annotated[Path, Out("images.csv: the index with entropy and part (easy or hard)")],
    samples: Annotated[
        Path, Out("folder with predictions and entropy maps of images from easiest to hardest")
    ],
    context: Context,
    weights: Annotated[
        Sequence[float], Numbers("of an ensemble's models, in their order; left out: all alike")
    ] = (),
    label_ids: Annotated[
        Path | None, Out("folder of all predictions as PNGs with Cityscapes' label ids", optional=True)
    ] = None,
    size: Annotated[
        Sequence[float], Numbers("width and height of label_ids where an image has no label: 2048 1024, say")
    ] = (),
) -> None:
    """Hard is the third of the images with the highest entropy, easy the rest, whatever lambda is.

    Given another model's images.csv, easy and hard are those of that model (the pipeline gives the
    inter model's to all); given an index.csv, this model's own entropies decide. An ensemble averages
    what `evaluate.combine` says.
    """
    device = prepare(params.compute)
    classes = labels.class_set(params.classes)
    block = params.evaluate
    predictor = load_for_inference(params, classes, model, device, weights, block.combine)
    index = tables.read_images(images)
    ranked = "part" in index  # easy and hard are another model's
    (results,) = evaluation.measure([predictor], index, block.batch_size, device, context, not ranked)
    if results.entropy is not None:
        index = evaluation.with_difficulty(index, results.entropy)
    files.write_json(metrics, evaluation.summary(results.confusions, index["part"], classes))
    write_tables(results.confusions.sum(0), classes, class_iou, confusion)
    tables.write(table, index, tables.IMAGES)
    chosen = evaluation.to_look_at(index, block.samples, block.gallery)
    with files.atomic_folder(samples) as folder:
        evaluation.write_samples(predictor, chosen, folder, classes.palette(), device)
    if label_ids:
        with files.atomic_folder(label_ids) as folder:
            submission.write(predictor, index, folder, classes, size, device, context)


def write_tables(total: Confusion, classes: labels.ClassSet, class_iou: Path, confusion: Path) -> None:
    """IoU and true pixels per class (an absent class has no IoU), and the matrix with its names."""
    percent = 100 * iou(total)
    frame = pd.DataFrame({"class": classes.names, "iou": percent, "pixels": total.sum(1)})
    files.write_csv(class_iou, frame)
    matrix = pd.DataFrame(total, columns=list(classes.names))
    matrix.insert(0, "truth", list(classes.names))
    files.write_csv(confusion, matrix)
