"""Models kept on the way through a run, to choose from afterwards.

They are saved beside the checkpoints, so that a run that is killed and started again has them all, and
gathered into the stage's output at its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from intrada.core import files
from intrada.models import weights


@dataclass(frozen=True)
class Snapshots:
    """One every `every` iterations in `folder`, each with the metadata `about` and its iteration."""

    folder: Path
    every: int
    metadata: Mapping[str, str]

    def should_keep(self, iteration: int, iterations: int) -> bool:
        """Whether to keep the model of `done` iterations; the last of all is the stage's model itself."""
        return iteration % self.every == 0 and iteration < iterations

    def keep(self, iteration: int, model: nn.Module) -> None:
        """Save the model of `done` iterations."""
        self.save(self._path(iteration), iteration, model)

    def save(self, path: Path, iteration: int, model: nn.Module) -> None:
        """Save a model of `done` iterations anywhere, with the run's metadata."""
        weights.save_model(path, model, {**self.metadata, "iteration": str(iteration)})

    def export_snapshots(self, iterations: int, folder: Path) -> None:
        """Copy all snapshots of a finished run into `folder`, which is written whole or not at all."""
        with files.atomic_folder(folder) as inside:
            for iteration in range(self.every, iterations, self.every):
                shutil.copyfile(self._path(iteration), inside / self._path(iteration).name)

    def _path(self, iteration: int) -> Path:
        return self.folder / f"snapshot_{iteration:08d}.safetensors"
