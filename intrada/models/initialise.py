"""Where training starts from: random weights, a package's pretrained ones, or a file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from intrada.models.model_info import ModelSpec, load

# Two marker files stand for weights that are not files, so that `init:` is always a path DVC can follow.
MARKERS = Path("weights")
RANDOM, PRETRAINED = "random", "pretrained"


def initialise(segmenter: SegmentationModel, spec: ModelSpec, init: Path) -> None:
    """Give `segmenter`, which `spec` built, the weights that `init` names.

    weights/random keeps the weights it was built with; weights/pretrained asks the model's module for
    those of its own package; any other path is a weight file (see weights.py), whose metadata must name the
    network and the classes of `spec` if it has any. UserError where it does not.
    """
    if init == MARKERS / RANDOM:
        return
    if init != MARKERS / PRETRAINED:
        load(init, spec, segmenter)
        return
    module = import_module(MODELS[spec.name])
    if not hasattr(module, "pretrained"):
        raise UserError(
            "init", f"{init}, but the model {spec.name} has no package",
            f"{MARKERS / RANDOM} or a weight file", "set init to one of these",
        )  # fmt: skip
    module.pretrained(segmenter)
