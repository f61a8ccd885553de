"""A trained model of the tiny project, without a training: random weights, metadata as a stage writes them."""

from __future__ import annotations

import json
from pathlib import Path

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
SIZE = (48, 32)  # width, height of the images of its training


def write(name: str = "small", largest: float = 20.0, **options: str) -> SegmentationModel:
    """Write params.yaml and MODEL, whose logits go up to `largest` and so differ from pixel to pixel."""
    write_params(change(tree(), model={"name": name, "options": options}))
    torch.manual_seed(1)
    model = build_model(name, len(NAMES), options).eval()
    noise = torch.randint(256, (1, 3, 32, 48), dtype=torch.uint8)
    with torch.no_grad():
        factor = largest / model.main_logits(model.normalise(noise)).abs().max()
    for head in model.head_names:
        for parameter in getattr(model, head).parameters():
            parameter.data *= factor
    info(model, name, **options).save(MODEL, model)
    return model


def info(model: SegmentationModel, name: str = "small", **options: str) -> ModelInfo:
    """As a training writes it after four iterations."""
    about = describe(ModelSpec(name, options, CLASSES), model, SIZE, "advent")
    return about.model_copy(update={"iteration": 4})


def make_old(path: Path = MODEL) -> None:
    """Write MODEL as version 0.1 did, whose metadata name the network and the classes only."""
    about = {"model": "small", "classes": ",".join(NAMES), "method": "advent", "iteration": "4"}
    save_file(load_file(MODEL), path, {"intrada": json.dumps(about)})


def predictor() -> Predictor:
    """MODEL as the stages load it."""
    return load_for_inference(load(PARAMS), CLASSES, [MODEL], torch.device("cpu"))
