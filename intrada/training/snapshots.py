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
    about: Mapping[str, str]

    def due(self, done: int, iterations: int) -> bool:
        """Whether to keep the model of `done` iterations; the last of all is the stage's model itself."""
        return done % self.every == 0 and done < iterations

    def keep(self, done: int, model: nn.Module) -> None:
        """Save the model of `done` iterations."""
        self.save(self._path(done), done, model)

    def save(self, path: Path, done: int, model: nn.Module) -> None:
        """Save a model of `done` iterations anywhere, with the run's metadata."""
        weights.save_model(path, model, {**self.about, "iteration": str(done)})

    def gather(self, iterations: int, folder: Path) -> None:
        """Copy all snapshots of a finished run into `folder`, which is written whole or not at all."""
        with files.atomic_folder(folder) as inside:
            for done in range(self.every, iterations, self.every):
                shutil.copyfile(self._path(done), inside / self._path(done).name)

    def _path(self, done: int) -> Path:
        return self.folder / f"snapshot_{done:08d}.safetensors"
