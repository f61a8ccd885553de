"""Paths of the files of an ablation, relative to the root of the checkout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("ablation")  # the DVC project; paths in its dvc.yaml are relative to it
RESULTS = FOLDER / "results"


@dataclass(frozen=True)
class Places:
    """The paths of one run, which is a benchmark with a seed."""

    benchmark: str
    seed: int

    @property
    def work(self) -> Path:
        """Folder of all files of the run."""
        return RESULTS / "work" / self.benchmark / str(self.seed)

    @property
    def data(self) -> Path:
        """Folder of the three domains, each with index.csv, images and labels."""
        return self.work / "data"

    @property
    def found(self) -> Path:
        """The output of `check` on the raw data (JSON)."""
        return self.work / "found.json"

    def model(self, start: str) -> Path:
        """Return the file of the model after a shared step, "source" or "inter"."""
        return self.work / f"{start}.safetensors"

    @property
    def scores(self) -> Path:
        """Folder of the outputs of `score` for the target images, with the inter model."""
        return self.work / "score"

    @property
    def images(self) -> Path:
        """Table of the evaluation images with their subset, easy or hard, by the inter model."""
        return self.work / "images.csv"

    def step(self, name: str) -> Path:
        """Return the working folder of a shared step or a recipe."""
        return self.work / "steps" / name

    def metrics(self, recipe: str) -> Path:
        """Return the file of the metrics of a recipe's model (JSON)."""
        return RESULTS / "recipes" / self.benchmark / str(self.seed) / recipe / "metrics.json"

    def classes(self, recipe: str) -> Path:
        """Return the file of the IoU per class of a recipe's model (CSV)."""
        return self.metrics(recipe).with_name("classes.csv")

    def counts(self, recipe: str) -> Path:
        """Return the file of the pixels per evaluation image and class of a recipe's model (CSV)."""
        return self.metrics(recipe).with_name("counts.csv")

    @property
    def runs(self) -> Path:
        """Folder of the checkpoints of all trainings: recipes that begin with the same one share it."""
        return self.work / "runs"


def summary(benchmark: str) -> Path:
    """Return the folder of a benchmark's table and figures."""
    return RESULTS / "summary" / benchmark
