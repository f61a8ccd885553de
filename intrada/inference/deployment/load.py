"""A model of a training stage, loaded where it fits the params: same network, same classes."""

from __future__ import annotations

from pathlib import Path

import torch

from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.inference.predictor import Predictor, load_for_inference
from intrada.models import weights


def load(path: Path, params_file: Path, chosen: Params, classes: ClassSet, device: torch.device) -> Predictor:
    """The model at `path`, whose metadata must name the network and the classes of the params.

    The file knows neither the network's options nor the classes' colours, so both come from `chosen`,
    read from `params_file`. UserError for a file that no training stage has written, or one of another
    network, of other classes or of the same in another order.
    """
    about = metadata(path)
    own = {"model": chosen.model.name, "classes": ",".join(classes.names)}
    for key, expected in own.items():
        if about[key] != expected:
            raise UserError(
                path,
                f"{key}: {about[key]}",
                f"{key}: {expected}, as in {params_file}",
                "name the params file that it was trained with: --params presets/NAME.yaml",
            )
    return load_for_inference(chosen, classes, [path], device)


def metadata(path: Path) -> dict[str, str]:
    """What a training stage has written into its file: model, classes (with commas), method, iteration."""
    allowed = f"a {weights.SUFFIX} file of a training stage, such as results/train_intra/last.safetensors"
    if path.suffix != weights.SUFFIX:
        fix = "name such a file; a published checkpoint is evaluated by `python -m intrada published`"
        raise UserError(path, f"a name that ends in {path.suffix or 'nothing'}", allowed, fix)
    about = weights.read_metadata(path)
    if missing := [key for key in ("model", "classes") if key not in about]:
        found = f"no {' and no '.join(missing)} in its metadata"
        raise UserError(path, found, allowed, "name the file that the training stage has written")
    return about
