"""Models kept on the way through a run, to choose from afterwards.

They are saved beside the checkpoints, so that a run that is killed and started again has them all, and
gathered into the stage's output at its end.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from intrada.core import files
from intrada.models.base import SegmentationModel
from intrada.models.model_info import ModelInfo


@dataclass(frozen=True)
class Snapshots:
    """One every `every` iterations in `folder`, each with the metadata `info` and its iteration."""

    folder: Path
    every: int
    info: ModelInfo

    def should_keep(self, iteration: int, iterations: int) -> bool:
        """Whether to keep the model of `done` iterations; the last of all is the stage's model itself."""
        return iteration % self.every == 0 and iteration < iterations

    def keep(self, iteration: int, model: SegmentationModel) -> None:
        """Save the model of `done` iterations."""
        self.save(self._path(iteration), iteration, model)

    def save(self, path: Path, iteration: int, model: SegmentationModel) -> None:
        """Save a model of `done` iterations anywhere, with the run's metadata."""
        self.info.model_copy(update={"iteration": iteration}).save(path, model)

    def export_snapshots(self, iterations: int, folder: Path) -> None:
        """Copy all snapshots of a finished run into `folder`, which is written whole or not at all."""
        with files.atomic_folder(folder) as inside:
            for iteration in range(self.every, iterations, self.every):
                shutil.copyfile(self._path(iteration), inside / self._path(iteration).name)

    def _path(self, iteration: int) -> Path:
        return self.folder / f"snapshot_{iteration:08d}.safetensors"
