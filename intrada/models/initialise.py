"""Initial weights of a training: random, pretrained weights from a package, or a weight file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from intrada.models.encoder_weights import is_encoder_file
from intrada.models.model_info import ModelSpec, load

# Two marker files represent weights that are not files, so that `init` is always a path that DVC can track.
MARKERS = Path("weights")
RANDOM, PRETRAINED = "random", "pretrained"


def initialise(segmenter: SegmentationModel, spec: ModelSpec, init: Path) -> None:
    """Set the initial weights of `segmenter`, which was built from `spec`.

    init: weights/random keeps the random weights of the network; weights/pretrained calls `pretrained` of the
    model's module; any other path is a weight file (see weights.py). Metadata of the file must match the
    network and the classes of `spec`. A file of the encoder alone goes to `load_encoder` of the module, if it
    has one (see encoder_weights.py). Raises UserError if the metadata differ, or if the file does not fit.
    """
    if init == MARKERS / RANDOM:
        return
    module = import_module(MODELS[spec.name])
    if init != MARKERS / PRETRAINED:
        if hasattr(module, "load_encoder") and is_encoder_file(init, segmenter):
            module.load_encoder(init, segmenter)
        else:
            load(init, spec, segmenter)
        return
    if not hasattr(module, "pretrained"):
        raise UserError(
            "init", f"{init}, but the model {spec.name} has no pretrained weights",
            f"{MARKERS / RANDOM} or a weight file", "set init to one of these",
        )  # fmt: skip
    module.pretrained(segmenter)
