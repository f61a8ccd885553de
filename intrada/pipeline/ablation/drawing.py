"""Figures of the ablation. Every run is a dot, so that each mean is shown with its runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from intrada.evaluation.reporting.figures import BLUE, GREY, MODELS, VERMILION
from intrada.pipeline.ablation.definition import Ablation, Benchmark, chosen


def dots(results: pd.DataFrame, ablation: Ablation, benchmark: Benchmark) -> Figure:
    """Plot one line for each recipe: a marker for the mIoU of each seed and a stroke for their mean.

    A dashed line shows the mean of the control. found: one row for each recipe and seed, mIoU in percent.
    """
    names = benchmark.recipes
    figure = Figure(figsize=(8, 0.32 * len(names) + 1.6), layout="constrained")
    axis = figure.subplots()
    table = results.pivot(index="recipe", columns="seed", values="mIoU").loc[names]
    places = np.arange(len(names))
    offsets = np.linspace(-0.2, 0.2, len(table.columns)) if len(table.columns) > 1 else [0.0]
    for number, (seed, offset) in enumerate(zip(table.columns, offsets, strict=True)):
        color, marker = MODELS[number % len(MODELS)]
        axis.scatter(
            table[seed], places + offset, 20, color=color, marker=marker, label=f"seed {seed}", zorder=3
        )
    means = table.mean(axis=1)
    axis.vlines(means, places - 0.35, places + 0.35, color="black", linewidth=1.6, zorder=2)
    axis.axvline(float(means[ablation.control]), color=GREY, linestyle="--", linewidth=1, zorder=1)
    axis.set_yticks(places, [ablation.recipes[name].label for name in names])
    axis.set_title(benchmark.title)
    axis.set_xlabel("mIoU, percent; stroke: mean; dashed: the control's mean", loc="right")
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def curve(results: pd.DataFrame, ablation: Ablation, benchmark: Benchmark) -> Figure:
    """Plot mIoU over lambda; the paper's curve has its own axes, since its data and network differ.

    found: one row for each recipe and seed, mIoU in percent.
    """
    sweep = {name: recipe for name, recipe in chosen(ablation, benchmark).items() if recipe.sweep}
    fractions = {name: float(recipe.how.changes["rank.easy_fraction"]) for name, recipe in sweep.items()}
    points = results[results["recipe"].isin(sweep)].assign(x=lambda rows: rows["recipe"].map(fractions))
    means = points.groupby("x")["mIoU"].mean()
    paper = pd.Series(
        {fractions[name]: recipe.paper for name, recipe in sweep.items() if recipe.paper}
    ).sort_index()
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    own, theirs = figure.subplots(1, 2, sharex=True)
    own.scatter(points["x"], points["mIoU"], 18, color=GREY, label="a seed")
    own.plot(means.index, means, color=BLUE, marker="o", label="mean")
    own.set(title=benchmark.title, ylabel="mIoU, percent", xlabel="lambda: share of easy images")
    own.legend()
    theirs.plot(paper.index, paper, color=VERMILION, marker="D")
    theirs.set(title="the paper: GTA5 to Cityscapes", xlabel="lambda: share of easy images")
    return figure
