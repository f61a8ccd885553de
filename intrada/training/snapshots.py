"""Snapshots: models saved at regular iterations of a run, from which the best can be selected.

They are saved next to the checkpoints, so that a resumed run has all of them. At the end of the run they are
copied to the output of the stage.
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
    """A snapshot every `every` iterations in `folder`, with the metadata `info` and its iteration."""

    folder: Path
    every: int
    info: ModelInfo

    def should_keep(self, iteration: int, iterations: int) -> bool:
        """Return whether to keep the model after `iteration` of `iterations` iterations.

        Always False for the last iteration, because its model is the output of the stage.
        """
        return iteration % self.every == 0 and iteration < iterations

    def keep(self, iteration: int, model: SegmentationModel) -> None:
        """Save the model after `iteration` iterations as a snapshot."""
        self.save(self._path(iteration), iteration, model)

    def save(self, path: Path, iteration: int, model: SegmentationModel) -> None:
        """Save the model after `iteration` iterations at `path`, with the metadata of the run."""
        self.info.model_copy(update={"iteration": iteration}).save(path, model)

    def export_snapshots(self, iterations: int, folder: Path) -> None:
        """Copy all snapshots of a finished run into `folder`, atomically."""
        with files.atomic_folder(folder) as temporary:
            for iteration in range(self.every, iterations, self.every):
                shutil.copyfile(self._path(iteration), temporary / self._path(iteration).name)

    def _path(self, iteration: int) -> Path:
        return self.folder / f"snapshot_{iteration:08d}.safetensors"
