"""Open a model file for predictions outside the pipeline. Its metadata describe the model.

Files of older versions name the network and the classes only, so they need the params file of their training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from intrada.core.config.compute_block import Compute
from intrada.core.config.schema import Params
from intrada.core.distributed.device import uses_bf16
from intrada.core.errors import UserError
from intrada.inference.predictor import Predictor, load_member
from intrada.models import all_options, model_info
from intrada.models.model_info import ModelInfo, ModelSpec


@dataclass(frozen=True)
class ModelFile:
    """A model file before its tensors are read.

    size: (width, height) in pixels of the images of its training; compute: how to run it.
    """

    path: Path
    spec: ModelSpec
    size: tuple[int, int]
    compute: Compute

    def load(self, device: torch.device) -> Predictor:
        """Load the network on `device`. UserError for tensors or option values that do not fit it."""
        try:
            member = load_member(self.path, self.spec, device)
        except UserError as error:
            if error.where == str(self.path):
                raise
            raise UserError(f"{self.path}, {error.where}", error.found, error.allowed, error.fix) from None
        return Predictor([member], bf16=uses_bf16(self.compute, device))


def open_model(path: Path, params_file: Path | None = None, chosen: Params | None = None) -> ModelFile:
    """Read the metadata of the file at `path`; `chosen`, the params of `params_file`, must agree with them.

    UserError if they do not, for a file that no training stage has written, and for a file of an older
    version without params.
    """
    info = model_info.read(path)
    if chosen is None:
        if info is None:
            raise UserError(
                path,
                "the metadata of an older version: no options of the network, no colours, no image size",
                "a model file of this version, or the params file of its training beside it",
                "name the params file that it was trained with: --params presets/NAME.yaml",
            )
        return ModelFile(path, info.spec, info.size, _compute())
    spec = ModelSpec(chosen.model.name, chosen.model.options, chosen.class_set)
    width, height = chosen.preprocess.target.size
    if info is None:
        return ModelFile(path, spec, (width, height), chosen.compute)
    _refuse_contradiction(path, info, spec, params_file)
    return ModelFile(path, spec, info.size, chosen.compute)


def _refuse_contradiction(path: Path, info: ModelInfo, spec: ModelSpec, params_file: Path | None) -> None:
    of_file, of_params = (
        {
            "model": model.name,
            "options": all_options(model.name, model.options),
            "classes": ", ".join(model.classes.names),
            "colours": ", ".join(f"{entry.name} {entry.color}" for entry in model.classes.classes),
        }
        for model in (info.spec, spec)
    )
    for key, value in of_file.items():
        if value != of_params[key]:
            raise UserError(
                path,
                f"{key}: {value}",
                f"{key}: {of_params[key]}, as in {params_file}",
                "leave --params out, since the file describes itself; or name the params of its training",
            )


def _compute() -> Compute:
    """Without params: any device, the threads that torch chooses, float32."""
    return Compute(
        device="auto",
        threads=1,
        inference_threads=torch.get_num_threads(),
        deterministic=False,
        tf32=False,
        precision="float32",
        channels_last=False,
        activation_checkpointing=False,
        compile=False,
        devices=1,
        sync_batch_norm=False,
    )
