"""A model file of the tiny project with random weights and the metadata of a training stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from intrada.core.config.classes import class_set
from intrada.core.config.load import load
from intrada.inference.predictor import Predictor, load_for_inference
from intrada.models import build_model
from intrada.models.base import SegmentationModel
from intrada.models.model_info import ModelInfo, ModelSpec, describe
from tests.support.tiny_project import PARAMS, change, tree, write_params

NAMES: list[str] = tree()["classes"]
CLASSES = class_set(NAMES)
MODEL = Path("model.safetensors")
SIZE = (48, 32)  # width, height of the training images


def write(name: str = "small", largest: float = 20.0, **options: Any) -> SegmentationModel:
    """Write params.yaml and MODEL. The largest logit is `largest`, so that predictions differ by pixel."""
    write_params(change(tree(), model={"name": name, "options": options}))
    torch.manual_seed(1)
    model = build_model(name, len(NAMES), options).eval()
    noise = torch.randint(256, (1, 3, 32, 48), dtype=torch.uint8)
    with torch.no_grad():
        factor = largest / model.main_logits(model.normalise(noise)).abs().max()
    for head in model.head_names:
        layers = getattr(model, head)  # of a head of several layers the last one
        for parameter in getattr(layers, "classifier", layers).parameters():
            parameter.data *= factor
    info(model, name, **options).save(MODEL, model)
    return model


def info(model: SegmentationModel, name: str = "small", **options: Any) -> ModelInfo:
    """Return the metadata that a training writes after four iterations."""
    model_info = describe(ModelSpec(name, options, CLASSES), model, SIZE, "advent")
    return model_info.model_copy(update={"iteration": 4})


def make_old(path: Path = MODEL) -> None:
    """Write MODEL in the format of version 0.1, whose metadata are strings without the colours or the size."""
    metadata = {"model": "small", "classes": ",".join(NAMES), "method": "advent", "iteration": "4"}
    save_file(load_file(MODEL), path, {"intrada": json.dumps(metadata)})


def predictor() -> Predictor:
    """Load MODEL as the stages do."""
    return load_for_inference(load(PARAMS), CLASSES, [MODEL], torch.device("cpu"))
