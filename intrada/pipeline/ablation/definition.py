"""Schema of ablation/ablation.yaml: the recipes, the benchmarks and the params of both."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError, model_validator

from intrada.core.config import plain_yaml
from intrada.core.config.data_blocks import Block
from intrada.core.config.types import Count
from intrada.core.errors import UserError
from intrada.core.file_errors import unreadable

FILE = Path("ablation/ablation.yaml")
Named = TypeVar("Named")
Step = Literal["source", "inter", "continue", "intra", "supervised"]


class How(Block):
    """The trainings of a recipe; ablation.yaml explains the keys."""

    start: Literal["source", "inter"]
    steps: list[Step]
    changes: dict[str, Any]  # dotted keys of the params


class Recipe(Block):
    """A row of the table."""

    label: str
    how: How
    sweep: bool = False  # a point of the lambda curve, at its rank.easy_fraction
    paper: float | None = None  # mIoU that the paper reports for it, in percent


class Criteria(Block):
    """The images on which the criteria of the snapshots are measured."""

    images: Count  # target images, and source images
    evaluated: Count  # evaluation images, for mIoU


class Benchmark(Block):
    """A preset and the runs on it."""

    title: str
    preset: str
    seeds: list[int]  # of the training
    data_seeds: dict[str, int]  # dotted keys of params, set to the training's seed plus this number
    changes: dict[str, Any]
    recipes: list[str]  # in the order of the table
    criteria: Criteria | None = None  # of the snapshots; absent: they are not measured


class Ablation(Block):
    """The content of ablation.yaml."""

    control: str  # the recipe from which the differences are computed
    paper: str  # source of the paper's numbers
    benchmarks: dict[str, Benchmark]
    recipes: dict[str, Recipe]

    @model_validator(mode="after")
    def _names_fit(self) -> Ablation:
        if self.control not in self.recipes:
            raise ValueError(f"control is {self.control!r}, allowed is one of {list(self.recipes)}")
        for name, benchmark in self.benchmarks.items():
            if unknown := sorted({*benchmark.recipes} - {*self.recipes}):
                raise ValueError(f"benchmarks.{name}.recipes has {unknown}, which are not under recipes")
            if self.control not in benchmark.recipes:
                raise ValueError(f"benchmarks.{name}.recipes lacks the control, {self.control!r}")
            if len({*benchmark.recipes}) < len(benchmark.recipes):
                raise ValueError(f"benchmarks.{name}.recipes names a recipe twice")
        for name, recipe in self.recipes.items():
            if recipe.sweep and "rank.easy_fraction" not in recipe.how.changes:
                raise ValueError(f"recipes.{name} is in the sweep and does not say its rank.easy_fraction")
        return self


def load(path: Path = FILE) -> Ablation:
    """Read and validate the file. UserError with the invalid keys, or without the package for the intervals.

    Each job reads the file, so the package is missed before the trainings and not after them.
    """
    if find_spec("scipy") is None:
        raise UserError(
            "ablation",
            "the package scipy is not installed",
            "an environment with the extra `ablation`",
            "pip install scipy",
        )
    try:
        return Ablation.model_validate(plain_yaml.read(path))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:8])
        raise UserError(path, wrong, "benchmarks and recipes as the file explains them", "fix it") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "the ablation's benchmarks and recipes") from error


def chosen(ablation: Ablation, benchmark: Benchmark) -> dict[str, Recipe]:
    """Return the recipes of a benchmark in the order of its table."""
    return {name: ablation.recipes[name] for name in benchmark.recipes}


def one_of(named: dict[str, Named], name: str) -> Named:
    """Return the benchmark or recipe called `name`. UserError if there is none."""
    if name not in named:
        raise UserError(FILE, f"no {name!r}", ", ".join(named), "choose one of these, or add an entry")
    return named[name]
