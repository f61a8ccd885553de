"""IntraDA: unsupervised intra-domain adaptation for semantic segmentation (CVPR 2020).

The public API; docs/api.md shows it with examples. `import intrada` loads neither torch nor NumPy: the
modules behind a name are imported at its first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from intrada.core.errors import UserError as UserError
    from intrada.evaluation import metrics as metrics
    from intrada.inference.deployment.api import Predictor as Predictor
    from intrada.inference.deployment.prediction import Prediction as Prediction
    from intrada.methods import losses as losses
    from intrada.models.base import SegmentationModel as SegmentationModel

__version__ = "0.1.0"
__all__ = [
    "Prediction", "Predictor", "SegmentationModel", "UserError", "__version__", "build_model", "list_methods",
    "list_models", "load", "losses", "metrics", "rank",
]  # fmt: skip

# Name -> module, or module:attribute, imported at the first use of the name.
_LAZY = {
    "Prediction": "intrada.inference.deployment.prediction:Prediction",
    "Predictor": "intrada.inference.deployment.api:Predictor",
    "SegmentationModel": "intrada.models.base:SegmentationModel",
    "UserError": "intrada.core.errors:UserError",
    "losses": "intrada.methods.losses",
    "metrics": "intrada.evaluation.metrics",
}


def list_models() -> list[str]:
    """Return the names of the networks that `build_model` builds."""
    from intrada.models import MODELS

    return list(MODELS)


def build_model(name: str, num_classes: int, **options: Any) -> SegmentationModel:
    """Build a network with random weights, drawn from torch's global generator.

    name: one of `list_models()`; num_classes: C, at least 2; options: those of the network, such as
    `backbone="resnet50"` of deeplabv2. Raises UserError for an unknown name or option.
    The network takes `network.normalise(images)`, with images (N, 3, H, W) uint8 or float, BGR in 0..255. It
    returns {"main", "aux"}: raw logits (N, C, h, w) float32 at its own resolution.
    """
    from intrada import models

    return models.build_model(name, num_classes, options)


def load(
    path: str | PathLike[str], device: str = "cpu", params: str | PathLike[str] | None = None
) -> Predictor:
    """Load a trained model, a `.safetensors` file of a training stage, ready to predict images.

    device: "cpu", "cuda" or "cuda:N". params: the params file of its training; only files of older versions
    need it. Raises UserError for a file that is damaged or that no training stage has written, and for params
    that contradict it.
    """
    from intrada.inference.deployment import api

    return api.load(path, device, params)


def list_methods() -> list[str]:
    """Return the names of the adaptation methods, which params.yaml names in `train_inter.method`."""
    from intrada.methods import METHODS

    return list(METHODS)


def rank(
    table: pd.DataFrame, rule: str, easy_fraction: float, rare_classes: Sequence[str] = ()
) -> pd.DataFrame:
    """Sort images by the entropy of their predictions, and split them into easy and hard ones.

    Source: IntraDA (CVPR 2020), section 3.2. table: one row an image, as in scores.csv: `image` (its id),
    `entropy` (mean of its pixels, 0..1) and, for each of `rare_classes`, `pixels_<class>` (number of pixels
    predicted as that class). rule: mean_entropy; or published_normalized or paper_normalized, which lower the
    score of images with rare classes. easy_fraction: share of the images that are easy, 0..1; lambda in the
    paper, which uses 0.67.
    Returns a frame with the columns image, score, rank (1 = lowest score) and subset ("easy" or "hard"),
    sorted by rank. Raises UserError for an unknown rule, a missing column, an image in two rows, and a
    fraction outside 0..1.
    """
    from intrada.methods import ranking

    return ranking.rank(table, rule, easy_fraction, rare_classes)


if not TYPE_CHECKING:  # to mypy, a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'intrada' has no attribute {name!r}")
        module, _, attribute = _LAZY[name].partition(":")
        imported = import_module(module)
        globals()[name] = getattr(imported, attribute) if attribute else imported
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
