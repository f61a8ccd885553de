"""The metadata of a model file: network, classes, size of the training images, normalisation, version.

The training stages write it as JSON into the file, so that a model can be used without the params file of its
training. Files of older versions have only the network and the classes; published checkpoints have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from intrada import __version__
from intrada.core.cli_types import MAX_SIDE
from intrada.core.config.classes import ClassSet, LabelClass, class_set
from intrada.core.errors import UserError, shortened
from intrada.core.files import unreadable
from intrada.models import all_options, build_model, weights
from intrada.models.base import Normalisation, SegmentationModel

_ALLOWED = f"a {weights.SUFFIX} file of a training stage, such as results/train_intra/last{weights.SUFFIX}"


@dataclass(frozen=True)
class ModelSpec:
    """A network by its name in MODELS, its options, and the classes that it predicts, in order."""

    name: str
    options: Mapping[str, Any]
    classes: ClassSet

    def build(self) -> SegmentationModel:
        """Return a new network with random weights. Raises UserError for an unknown name or option."""
        return build_model(self.name, len(self.classes), self.options)


class ModelInfo(BaseModel):
    """The metadata of a model file. Keys of later versions are ignored.

    intrada: the version that wrote the file; options: all options of the network, including defaults; size:
    (width, height) in pixels of the training images, of the target domain if it is used; method, iteration:
    of the training.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    intrada: str
    model: str
    options: dict[str, Any]
    classes: list[LabelClass]
    size: tuple[Annotated[int, Field(ge=1, le=MAX_SIDE)], Annotated[int, Field(ge=1, le=MAX_SIDE)]]
    normalisation: Normalisation
    method: str
    iteration: Annotated[int, Field(ge=0)]

    @property
    def spec(self) -> ModelSpec:
        """The network and its classes. Raises UserError for invalid classes."""
        entries = [{"name": entry.name, "color": list(entry.color)} for entry in self.classes]
        return ModelSpec(self.model, self.options, class_set(entries))

    def facts(self) -> dict[str, object]:
        """Return the entries, as in JSON, that must be equal in a file and the network that loads it."""
        tree = self.model_dump(mode="json", include={"model", "options", "normalisation"})
        return tree | {"classes": [entry.name for entry in self.classes]}

    def save(self, path: Path, model: SegmentationModel) -> None:
        """Write the weights of `model` with this metadata. The same values give the same bytes.

        Raises UserError, and writes nothing, if a weight is nan or infinite.
        """
        weights.save_model(path, model, self.model_dump(mode="json"))


def describe(spec: ModelSpec, model: SegmentationModel, size: tuple[int, int], method: str) -> ModelInfo:
    """Return the metadata of `model`, built from `spec`, with iteration 0. size, method: see ModelInfo."""
    return ModelInfo(
        intrada=__version__,
        model=spec.name,
        options=all_options(spec.name, spec.options),
        classes=list(spec.classes.classes),
        size=size,
        normalisation=model.normalisation,
        method=method,
        iteration=0,
    )


def read(path: Path) -> ModelInfo | None:
    """Return the metadata of the model file at `path`; None for a file of an older version.

    The tensors are not read. Raises UserError for a file that was not written by a training stage.
    """
    if path.suffix != weights.SUFFIX:
        fix = "choose such a file; evaluate a published checkpoint with `python -m intrada published`"
        raise UserError(path, f"a name that ends in {path.suffix or 'nothing'}", _ALLOWED, fix)
    metadata = weights.read_metadata(path)
    if "intrada" in metadata:
        return _valid(path, metadata)
    _refuse_nameless(path, metadata)
    return None


def iteration(path: Path) -> int:
    """Return the training iteration of the model file at `path`, written by this or an older version."""
    value = str(weights.read_metadata(path).get("iteration"))
    if not value.isdecimal():
        raise unreadable(path, f"iteration {shortened(value, 40)} in its metadata", _ALLOWED)
    return int(value)


def load(path: Path, spec: ModelSpec, model: SegmentationModel) -> None:
    """Load the file at `path`, of this project or a published checkpoint, into `model`, built from `spec`.

    Raises UserError if the metadata have another network, other options, another normalisation, or other
    classes or another order of them; and if the tensors do not fit.
    """
    if path.suffix == weights.SUFFIX:
        _refuse_other(path, spec, model)
    weights.load_weights(path, model)


def _refuse_other(path: Path, spec: ModelSpec, model: SegmentationModel) -> None:
    metadata = weights.read_metadata(path)
    names = spec.classes.names
    if "intrada" in metadata:
        info = _valid(path, metadata)
        stated, own = info.facts(), describe(spec, model, info.size, info.method).facts()
        origin = f" (written by intrada {info.intrada})"
    else:  # of an older version
        _refuse_nameless(path, metadata)
        stated, own = metadata, {"model": spec.name, "classes": ",".join(names)}
        origin = ""
    other = [key for key in own if key in stated and stated[key] != own[key]]
    if "model" in other:  # then options and normalisation differ as well
        other = [key for key in other if key in ("model", "classes")]
    if other:
        raise UserError(
            path,
            "; ".join(f"{key}: {_short(stated[key])}" for key in other) + origin,
            "; ".join(f"{key}: {_short(own[key])}" for key in other) + ", as in the params",
            "use a file of this model, or set `model` and `classes` in the params to those of the file",
        )


def _refuse_nameless(path: Path, metadata: Mapping[str, object]) -> None:
    """Raise UserError if the metadata of an older version do not name the network and the classes."""
    if missing := [key for key in ("model", "classes") if not isinstance(metadata.get(key), str)]:
        fix = "choose a file that a training stage wrote"
        raise UserError(path, f"no {' and no '.join(missing)} in its metadata", _ALLOWED, fix)


def _valid(path: Path, metadata: Mapping[str, object]) -> ModelInfo:
    try:
        info = ModelInfo.model_validate_json(json.dumps(metadata))
        all_options(info.model, info.spec.options)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise unreadable(path, f"metadata with {'; '.join(lines[:8])}", _ALLOWED) from None
    except UserError as error:
        raise UserError(f"{path}, {error.where}", error.found, error.allowed, error.fix) from None
    return info


def _short(value: object) -> str:
    return shortened(", ".join(map(str, value)) if isinstance(value, list) else str(value), 400)
