"""Networks by name. To add one, write a module with a `build` function and add a line to MODELS."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from intrada.core.errors import UserError

if TYPE_CHECKING:  # importing the registry must not import torch
    from intrada.models.base import SegmentationModel

MODELS = {
    "small": "intrada.models.small",
    "deeplabv2": "intrada.models.deeplabv2",
    "efficientnet_lite0": "intrada.models.efficientnet_lite0",
    "timm": "intrada.models.timm",
    "segformer": "intrada.models.segformer",
    "smp": "intrada.models.smp",
}


def build_model(name: str, num_classes: int, options: Mapping[str, Any]) -> SegmentationModel:
    """Return a new network with random weights, drawn from torch's global generator.

    name: a key of MODELS; num_classes: C >= 2; options: keyword arguments of that module's `build`.
    Raises UserError for a name or an option that does not exist, and for a value of another type.
    """
    options = all_options(name, options)
    return cast("SegmentationModel", import_module(MODELS[name]).build(num_classes, **options))


def all_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` of the network called `name`, completed with the defaults of all other options.

    Raises UserError for a name or an option that does not exist, and for a value of another type.
    """
    _check_key("model name", name, list(MODELS))
    parameters = inspect.signature(import_module(MODELS[name]).build).parameters
    defaults = {key: parameter.default for key, parameter in parameters.items() if key != "num_classes"}
    for key, value in options.items():
        _check_key(f"options of model {name}", key, list(defaults))
        _check_type(name, key, value)
    optional = {key: default for key, default in defaults.items() if default is not inspect.Parameter.empty}
    return optional | dict(options)


def _check_key(where: str, key: str, allowed: list[str]) -> None:
    if key not in allowed:
        near = difflib.get_close_matches(key, allowed, n=1)
        fix = f"write {near[0]!r}" if near else "use one of the allowed names"
        raise UserError(where, f"unknown: {key!r}", ", ".join(allowed) or "none at all", fix)


def _check_type(name: str, key: str, value: object) -> None:
    """Raise UserError for a value that the annotation of the option does not allow."""
    hint = get_type_hints(import_module(MODELS[name]).build, include_extras=True).get(key, Any)
    try:
        TypeAdapter(hint).validate_python(value, strict=True)
    except ValidationError as error:
        wrong = "; ".join(sorted({each["msg"] for each in error.errors()}))
        fix = f"correct or omit {key}"
        raise UserError(f"model.options.{key}", repr(value), wrong, fix) from None
