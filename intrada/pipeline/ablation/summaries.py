"""The tables and figures of the ablation, from the metrics.json of the recipes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pandas as pd

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.evaluation.reporting.drawing import write_png
from intrada.pipeline.ablation import drawing, selection, table
from intrada.pipeline.ablation.definition import Ablation, chosen, one_of
from intrada.pipeline.ablation.places import RESULTS, Places, summary
from intrada.pipeline.ablation.settings import data_seed


def summarise(ablation: Ablation, name: str) -> None:
    """Write summary.csv, criteria.csv, table.md and the figures of a benchmark.

    UserError for a recipe without metrics.
    """
    benchmark = one_of(ablation.benchmarks, name)
    rows = [
        {"recipe": recipe, "seed": seed, "data_seed": data_seed(benchmark, seed)}
        | _metrics(Places(name, seed).metrics(recipe))
        for recipe in benchmark.recipes
        for seed in benchmark.seeds
    ]
    counts = pd.concat(
        tables.read(Places(name, seed).counts(recipe), tables.COUNTS).assign(recipe=recipe, seed=seed)
        for recipe in benchmark.recipes
        for seed in benchmark.seeds
    )
    results = pd.DataFrame(rows)
    folder = summary(name)
    files.write_csv(folder / "summary.csv", results)
    criteria = selection.quality(files.read_csv(selection.path_of(name), selection.RUN))
    files.write_csv(folder / "criteria.csv", criteria)
    text = table.markdown(results, counts, ablation, benchmark)
    if benchmark.criteria and len(criteria):
        text += "\n" + selection.markdown(criteria, benchmark.criteria) + "\n"
    _write(folder / "table.md", text)
    with files.atomic_folder(folder / "figures") as figures:
        write_png(figures / "dots.png", partial(drawing.dots, results, ablation, benchmark))
        if any(recipe.sweep for recipe in chosen(ablation, benchmark).values()):
            write_png(figures / "lambda.png", partial(drawing.curve, results, ablation, benchmark))


def collect(ablation: Ablation) -> None:
    """Write the summary.csv and the table.md of all benchmarks."""
    summaries = {
        name: files.read_csv(summary(name) / "summary.csv", ["recipe"]) for name in ablation.benchmarks
    }
    whole = pd.concat([rows.assign(benchmark=name) for name, rows in summaries.items()])
    files.write_csv(RESULTS / "summary.csv", whole[["benchmark", *whole.columns.drop("benchmark")]])
    texts = [(summary(name) / "table.md").read_text(encoding="utf-8") for name in ablation.benchmarks]
    _write(RESULTS / "table.md", "\n".join(texts))


def _metrics(path: Path) -> dict[str, float]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: values[name] for name in ("iterations", *table.METRICS)}
    except (OSError, ValueError, KeyError) as error:
        fix = "run the recipe: dvc --cd ablation repro"
        raise UserError(path, f"no metrics ({error})", "metrics.json of a recipe", fix) from error


def _write(path: Path, text: str) -> None:
    with files.atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
