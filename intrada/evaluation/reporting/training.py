"""The trainings on the page: each model's snapshots with the chosen one and the criteria, and its losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from intrada.evaluation import criteria_quality
from intrada.evaluation.reporting import figures
from intrada.evaluation.reporting.results import SelectedSnapshots, decimal
from intrada.evaluation.reporting.svg import Axes, span
from intrada.evaluation.validators import CRITERIA, PERCENT

COLORS = 7  # classes c0, c1, ... of page's styles for the lines of losses


@dataclass(frozen=True)
class Losses:
    """charts: model -> its losses; legend: (loss, style class of its line)."""

    charts: dict[str, Markup]
    legend: list[tuple[str, str]]


def snapshots(tables: Mapping[str, pd.DataFrame], chosen: list[SelectedSnapshots]) -> dict[str, Markup]:
    """Return model -> chart of its snapshots: mIoU over the iterations, or the label-free criterion.

    tables: model -> snapshots.csv. The snapshot that the later stages use is marked. All charts of one
    quantity have one range, so that they can be compared. A training with one snapshot has no chart.
    """
    labelled = any(table["mIoU"].notna().any() for table in tables.values())
    column, label = ("mIoU", "mIoU, percent") if labelled else ("information", "mutual information, 0..1")
    values = [value for table in tables.values() for value in table[column].dropna()]
    charts = {}
    for number, model in enumerate(chosen):
        table = tables[model.name]
        if len(table) < 2:
            continue
        points = list(zip(table["iteration"].astype(float), table[column], strict=True))
        axes = Axes((0, float(table["iteration"].max())), span(values, 0.12), "iteration", label)
        selected = {iteration for _, in_use, iteration, _ in model.rows if in_use}
        marks = [axes.line(points, f"m{number}")]
        for iteration, value in points:
            is_chosen = int(iteration) in selected
            text = f"iteration {iteration:.0f}: {decimal(value, 1 if labelled else 3)}"
            marks.append(axes.dot((iteration, value), f"m{number}", text, 6.5 if is_chosen else 3.5))
            if is_chosen:
                at_right = iteration > 0.8 * axes.x[1]
                marks.append(
                    axes.text((iteration, value), "chosen", anchor="end" if at_right else "middle", up=12)
                )
        charts[model.name] = axes.chart(f"{label} of the snapshots of {model.name}", *marks)
    return charts


@dataclass(frozen=True)
class Criteria:
    """The criteria of all snapshots of all models, as text.

    names: of the criteria; rows: (model, iteration, (value, whether its criterion chooses this snapshot) for
    each criterion, mIoU); choices: (criterion, for each model the chosen iteration and, with labels, how many
    points its mIoU is below the best).
    """

    names: list[str]
    rows: list[tuple[str, int, list[tuple[str, bool]], str]]
    choices: list[tuple[str, list[str]]]


def criteria(tables: Mapping[str, pd.DataFrame]) -> Criteria:
    """Return the criteria of all snapshots. tables: model -> snapshots.csv."""
    quality = criteria_quality.table(tables)
    chosen = {(row.model, row.criterion): row for row in quality.itertuples()}
    rows = []
    for model, table in tables.items():
        for _, snapshot in table.iterrows():
            iteration = int(snapshot["iteration"])
            values = [
                (decimal(snapshot[name], _digits(name)), bool(chosen[model, name].chosen == iteration))
                for name in CRITERIA
            ]
            rows.append((model, iteration, values, decimal(snapshot["mIoU"])))
    choices = [(name, [_choice(chosen[model, name]) for model in tables]) for name in CRITERIA]
    return Criteria(list(CRITERIA), rows, choices)


def _digits(criterion: str) -> int:
    return 1 if criterion in PERCENT else 3


def _choice(row: Any) -> str:
    """Return the iteration that a row of criteria_quality.table has, and its regret if it is known."""
    regret = "" if math.isnan(row.regret) else f" ({decimal(-row.regret)})"
    return f"{row.chosen}{regret}" if row.chosen else "-"


def losses(tables: Mapping[str, pd.DataFrame]) -> Losses:
    """Return one chart for each training and one line for each loss, without the losses' weights.

    tables: model -> losses.csv, without rows if step 3 was skipped; such a model has no chart. A loss has
    the same colour in all charts; the loss of the auxiliary head is dashed.
    """
    columns = {name: figures.loss_columns(table) for name, table in tables.items()}
    kinds = list(dict.fromkeys(figures.kind(key) for keys in columns.values() for key in keys))
    legend: dict[str, str] = {}
    charts = {}
    for name, rows in tables.items():
        if rows.empty:
            continue
        table = figures.downsampled(rows, figures.MAX_POINTS)
        highest = np.nanmax(table[columns[name]].to_numpy(np.float64), initial=0.1)
        axes = Axes((0, float(table["iteration"].max())), (0, 1.05 * float(highest)), "iteration", "loss")
        marks = []
        for key in columns[name]:
            style = f"c{kinds.index(figures.kind(key)) % COLORS}{' dashed' * key.endswith('_aux')}"
            points = table[["iteration", key]].dropna().astype(float).itertuples(index=False, name=None)
            marks.append(axes.line(points, style, key))
            legend.setdefault(key, style)
        charts[name] = axes.chart(f"losses of {name}", *marks)
    return Losses(charts, list(legend.items()))
