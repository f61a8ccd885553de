"""A trained model, ready to predict."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from intrada import weights
from intrada.labels import ClassSet
from intrada.methods.base import Nets
from intrada.models import build_model
from intrada.params import Params


def load_for_inference(params: Params, classes: ClassSet, path: Path, device: torch.device) -> Nets:
    """The network of `params.model` with the weights at `path`, in evaluation mode, on `device`."""
    segmenter = build_model(params.model.name, len(classes), params.model.options)
    weights.load_model(path, segmenter)
    return Nets(segmenter.to(device).eval(), nn.ModuleDict())
