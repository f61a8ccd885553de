"""Where the files of an ablation are; all paths are relative to the checkout's root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("ablation")  # the DVC project; its dvc.yaml has paths from here
RESULTS = FOLDER / "results"


@dataclass(frozen=True)
class Places:
    """Of one run: a benchmark with a seed."""

    benchmark: str
    seed: int

    @property
    def work(self) -> Path:
        """What the run makes."""
        return RESULTS / "work" / self.benchmark / str(self.seed)

    @property
    def data(self) -> Path:
        """Folder of the three domains, each with index.csv, images and labels."""
        return self.work / "data"

    @property
    def found(self) -> Path:
        """What `check` found in the raw data (JSON)."""
        return self.work / "found.json"

    def model(self, start: str) -> Path:
        """The network after a shared step: source or inter."""
        return self.work / f"{start}.safetensors"

    @property
    def scores(self) -> Path:
        """Folder of what `score` says of the target images under the inter model."""
        return self.work / "score"

    @property
    def images(self) -> Path:
        """The evaluation images with their subset, easy or hard, under the inter model."""
        return self.work / "images.csv"

    def step(self, name: str) -> Path:
        """Folder in which a shared step or a recipe works."""
        return self.work / "steps" / name

    def metrics(self, recipe: str) -> Path:
        """mIoU and the rest of a recipe's model (JSON)."""
        return RESULTS / "recipes" / self.benchmark / str(self.seed) / recipe / "metrics.json"

    def classes(self, recipe: str) -> Path:
        """IoU per class of a recipe's model (CSV)."""
        return self.metrics(recipe).with_name("classes.csv")


def summary(benchmark: str) -> Path:
    """Folder of a benchmark's table and figures."""
    return RESULTS / "summary" / benchmark
