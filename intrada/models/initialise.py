"""Where training starts from: random weights, a package's pretrained ones, or a file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from intrada.models.weights import load_weights

# Two marker files stand for weights that are not files, so that `init:` is always a path DVC can follow.
MARKERS = Path("weights")
RANDOM, PRETRAINED = "random", "pretrained"


def initialise(segmenter: SegmentationModel, name: str, init: Path) -> None:
    """Give `segmenter`, of the model called `name`, the weights that `init` names.

    weights/random keeps the weights it was built with; weights/pretrained asks the model's module for
    those of its own package; any other path is a weight file (see weights.py).
    """
    if init == MARKERS / RANDOM:
        return
    if init != MARKERS / PRETRAINED:
        load_weights(init, segmenter)
        return
    module = import_module(MODELS[name])
    if not hasattr(module, "pretrained"):
        raise UserError(
            "init", f"{init}, but the model {name} has no package", f"{MARKERS / RANDOM} or a weight file",
            "set init to one of these",
        )  # fmt: skip
    module.pretrained(segmenter)
