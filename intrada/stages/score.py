"""One forward pass over the target: entropy of every image, its predicted labels, their confidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch

from intrada import files, labels, tables
from intrada.device import prepare_all, settle
from intrada.inference import load_for_inference
from intrada.params import Params
from intrada.processes import Part, spread
from intrada.scoring import joined, score
from intrada.stage import Context, In, Out, Round

READS = ("compute", "classes", "model", "score")


def run(
    params: Params,
    target: Annotated[Path, In("index.csv of the target images", index=True)],
    model: Annotated[Path, In("the model of step 1, or of the round before")],
    out: Annotated[Path, Out("scores.csv: image, entropy, pixels per predicted class")],
    predictions: Annotated[Path, Out("folder of predicted label maps (PNG, class indices)")],
    confidence: Annotated[Path, Out("folder of confidence maps (PNG, 255 = the softmax maximum is 1)")],
    context: Context,
    round: Annotated[str, Round()] = "",
) -> None:
    """Mean pixel entropy of G's prediction, the score of IntraDA's section 3.2, in evaluation mode."""
    devices = prepare_all(params.compute)
    index = tables.read(target, tables.INDEX)
    with files.atomic_folder(predictions) as predicted, files.atomic_folder(confidence) as sure:
        rest = (params, model, index, (predicted, sure))

        def own(part: Part, check: Callable[[], None]) -> pd.DataFrame:
            return _score(part, devices[0], *rest, replace(context, check=check))

        found = spread(len(devices), own, _score_one_part, devices, *rest, context)
    tables.write(out, joined(found, index), tables.SCORES)


def _score_one_part(part: Part, devices: list[torch.device], params: Params, *rest: Any) -> pd.DataFrame:
    settle(params.compute, devices[part.number])
    return _score(part, devices[part.number], params, *rest)


def _score(
    part: Part,
    device: torch.device,
    params: Params,
    model: Path,
    index: pd.DataFrame,
    folders: tuple[Path, Path],
    context: Context,
) -> pd.DataFrame:
    classes = labels.class_set(params.classes)
    predictor = load_for_inference(params, classes, [model], device)
    return score(predictor, index, params.score.batch_size, folders, classes, device, context, part)
