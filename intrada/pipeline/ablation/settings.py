"""The params of a run and of its recipes: a preset with changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intrada.core.config import overrides, plain_yaml
from intrada.core.config.load import validate
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.file_errors import unreadable
from intrada.pipeline.ablation.definition import FILE, Benchmark, How, Step

PRESETS = Path("presets")


def tree_of(benchmark: Benchmark, seed: int, how: How | None = None) -> dict[str, Any]:
    """Return the params tree of one run; with `how`, of a recipe. Further trainings of step 3 are rounds.

    UserError if the preset selects a snapshot or has rounds, because the model of a recipe is the last one.
    """
    path = PRESETS / f"{benchmark.preset}.yaml"
    try:
        preset: Any = plain_yaml.read(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "a preset that ablation.yaml names") from error
    if preset["select"] != "last" or preset["rounds"]:
        found = "snapshots are chosen, or there are rounds"
        raise UserError(path, found, "select: last and rounds: {}", "name another preset in the ablation")
    seeds = {key: seed + offset for key, offset in benchmark.data_seeds.items()}
    changes = {"seed": seed} | seeds | benchmark.changes | (how.changes if how else {})
    tree: dict[str, Any] = overrides.apply(preset, changes, str(FILE))
    names = [round_name(number) for number, _ in enumerate(again(how))]
    before = ["train_intra", *(f"train_intra_round/{name}" for name in names[1:])]
    fraction = tree["rank"]["easy_fraction"]
    tree["rounds"] = {
        name: {"after": after, "easy_fraction": fraction, "init": f"results/{after}/last.safetensors"}
        for name, after in zip(names[1:], before, strict=False)
    }
    return tree


def again(how: How | None) -> list[Step]:
    """Return the steps that run train_intra; each after the first is a round."""
    return [step for step in how.steps if step in ("intra", "continue")] if how else []


def round_name(number: int) -> str:
    """Return the round's name of the training of step 3 after `number` others; "" for the first."""
    return f"r{number + 1}" if number else ""


def params_of(benchmark: Benchmark, seed: int, how: How | None = None) -> Params:
    """Return `tree_of` as validated params. UserErrors as from `validate` and `tree_of`."""
    return validate(FILE, tree_of(benchmark, seed, how))


def data_seed(benchmark: Benchmark, seed: int) -> str:
    """Return the seeds of the generated data, `1201+2201`; "" if the data are not generated."""
    return "+".join(str(seed + offset) for offset in benchmark.data_seeds.values())
