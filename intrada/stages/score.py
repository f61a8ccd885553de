"""Compute the entropy, the predicted labels and the confidence of every target image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import torch

from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.distributed.launcher import Rank
from intrada.core.distributed.map_devices import INFERENCE, map_devices
from intrada.core.errors import UserError
from intrada.core.failures import Failures
from intrada.core.stage import Context, Flag, In, Out, RoundOption
from intrada.data import tables
from intrada.inference.predictor import load_for_inference
from intrada.inference.scoring import merge_tables, score

READS = (*INFERENCE, "classes", "model", "score")


def run(
    params: Params,
    target: Annotated[Path, In("index.csv of the target images", index=True)],
    model: Annotated[Path, In("the model of step 1, or of the previous round")],
    out: Annotated[Path, Out("scores.csv: image, entropy, pixels per predicted class")],
    predictions: Annotated[Path, Out("folder of predicted label maps (PNG, class indices)")],
    confidence: Annotated[Path, Out("folder of confidence maps (PNG, 255 = the softmax maximum is 1)")],
    context: Context,
    round: Annotated[str, RoundOption()] = "",
    strict: Annotated[bool, Flag("stop at the first image that cannot be read, and write nothing")] = False,
) -> None:
    """Score each image by the mean pixel entropy of its prediction (IntraDA, section 3.2), in eval mode.

    If images cannot be read, the outputs of the others are written, and then a UserError is raised. `rank`
    refuses such a table.
    """
    index = tables.read(target, tables.INDEX)
    with files.atomic_folder(predictions) as predicted, files.atomic_folder(confidence) as confidence:
        folders = (predicted, confidence)
        done = map_devices(params.compute, context, _score, params, model, index, folders, strict)
    tables.write(out, merge_tables([scores for scores, _ in done], index), tables.SCORES)
    failures = Failures(strict)
    for _, errors in done:
        failures.errors += errors
    failures.finish(out, len(index))


def _score(
    rank: Rank,
    device: torch.device,
    params: Params,
    model: Path,
    index: pd.DataFrame,
    folders: tuple[Path, Path],
    strict: bool,
    context: Context,
) -> tuple[pd.DataFrame, list[tuple[str, UserError]]]:
    """Return the rows of scores.csv for the images of one process, and the errors of others, by image."""
    classes, failures = params.class_set, Failures(strict)
    predictor = load_for_inference(params, classes, [model], device, window=params.score.window)
    batch_size = params.score.batch_size
    scores = score(predictor, index, batch_size, folders, classes, device, context, rank, failures.add)
    return scores, failures.errors
