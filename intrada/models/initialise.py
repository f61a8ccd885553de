"""Initial weights of a training: random, pretrained weights from a package, or a weight file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from intrada.models.model_info import ModelSpec, load

# Two marker files represent weights that are not files, so that `init` is always a path that DVC can track.
MARKERS = Path("weights")
RANDOM, PRETRAINED = "random", "pretrained"


def initialise(segmenter: SegmentationModel, spec: ModelSpec, init: Path) -> None:
    """Set the initial weights of `segmenter`, which was built from `spec`.

    init: weights/random keeps the random weights of the network; weights/pretrained calls `pretrained` of the
    model's module; any other path is a weight file (see weights.py). Metadata of the file must match the
    network and the classes of `spec`. Raises UserError if they do not, or if the file does not fit.
    """
    if init == MARKERS / RANDOM:
        return
    if init != MARKERS / PRETRAINED:
        load(init, spec, segmenter)
        return
    module = import_module(MODELS[spec.name])
    if not hasattr(module, "pretrained"):
        raise UserError(
            "init", f"{init}, but the model {spec.name} has no pretrained weights",
            f"{MARKERS / RANDOM} or a weight file", "set init to one of these",
        )  # fmt: skip
    module.pretrained(segmenter)
