"""The second and third table of the ablation: intervals of several kinds, and the IoU of each class."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core.plain_text import markdown_cell
from intrada.pipeline.ablation import statistics
from intrada.pipeline.ablation.definition import Ablation, Benchmark, chosen

PIXELS = ["truth", "predicted", "hits"]


def intervals(results: pd.DataFrame, counts: pd.DataFrame, ablation: Ablation, benchmark: Benchmark) -> str:
    """Return a Markdown table: the difference of each recipe from the control, three intervals and p-values.

    results: one row for each recipe and seed, with mIoU in percent; counts: with the columns recipe, seed and
    those of tables.COUNTS.
    """
    names = [name for name in benchmark.recipes if name != ablation.control]
    values = results.pivot(index="seed", columns="recipe", values="mIoU")
    control, of_control = values[ablation.control], array(counts, ablation.control)
    p = {name: statistics.p_value(values[name], control) for name in names}
    corrected = statistics.holm(p)
    lines = [
        "| recipe | mIoU - control | Student's | over seeds | over images | p | p, Holm |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        mean, low, high = statistics.paired(values[name], control)
        kinds = [
            (low, high),
            statistics.over_seeds(values[name], control),
            statistics.over_images(array(counts, name), of_control),
        ]
        cells = [f"{mean:+.2f}", *map(_interval, kinds), _p(p[name]), _p(corrected[name])]
        lines.append(f"| {markdown_cell(ablation.recipes[name].label)} | {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\n{LEGEND}"


LEGEND = f"""\
{statistics.CONFIDENCE:.0%} intervals of the mean difference. Student's and "over seeds" (bootstrap) say what
other training seeds would give on the same evaluation images; "over images" (bootstrap) what other images
like these would give with the same models. Each bootstrap has {statistics.DRAWS} draws. p: Student's paired
test over the seeds; Holm: corrected for the number of recipes in this table."""


def per_class(counts: pd.DataFrame, ablation: Ablation, benchmark: Benchmark) -> str:
    """Return a Markdown table of the IoU of each class in percent, the mean over the seeds.

    counts: with the columns recipe, seed and those of tables.COUNTS. A class that is neither labelled nor
    predicted has no value.
    """
    sums = counts.groupby(["recipe", "seed", "class"], sort=False)[PIXELS].sum()
    union = sums["truth"] + sums["predicted"] - sums["hits"]
    iou = (100 * sums["hits"] / union.where(union > 0)).groupby(["recipe", "class"], sort=False).mean()
    classes = [*dict.fromkeys(counts["class"])]
    lines = [
        f"| recipe | {' | '.join(map(markdown_cell, classes))} |",
        f"| --- |{' ---: |' * len(classes)}",
    ]
    for name, recipe in chosen(ablation, benchmark).items():
        cells = ["" if np.isnan(value) else f"{value:.1f}" for value in iou[name][classes]]
        lines.append(f"| {markdown_cell(recipe.label)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def array(counts: pd.DataFrame, recipe: str) -> NDArray[np.int64]:
    """Return the counts of a recipe as (seeds, images, classes, 3), in the order in which they stand."""
    rows = counts[counts["recipe"] == recipe]
    shape = [rows[name].nunique() for name in ("seed", "image", "class")]
    return rows[PIXELS].to_numpy(np.int64).reshape(*shape, len(PIXELS))


def _interval(interval: tuple[float, float]) -> str:
    return "" if np.isnan(interval[0]) else f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"


def _p(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
