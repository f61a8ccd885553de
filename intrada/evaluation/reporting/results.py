"""Read the results of the evaluate and evaluate_snapshots stages, and format them for the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.core.plain_text import markdown_cell
from intrada.evaluation.validators import RULES

METRICS = ("mIoU", "mIoU_easy", "mIoU_hard", "pixel_accuracy")


@dataclass(frozen=True)
class Result:
    """The metrics of one model on the evaluation images.

    name: source, inter, intra or a round; metrics: METRICS in percent, nan without labelled pixels;
    class_iou: (C,) float64 in percent, nan for an absent class.
    """

    name: str
    metrics: dict[str, float]
    class_iou: NDArray[np.float64]


def read(name: str, folder: Path, classes: ClassSet) -> Result:
    """Read metrics.json and classes.csv of `folder`; UserError if a file is invalid or has other classes."""
    path, allowed = folder / "classes.csv", f"the IoU of the {len(classes)} classes of the params file"
    iou = files.read_csv(path, ["class", "iou"])["iou"]
    if len(iou) != len(classes) or not pd.api.types.is_numeric_dtype(iou):
        raise files.unreadable(path, f"{len(iou)} rows, IoU of type {iou.dtype}", allowed)
    return Result(name, _metrics(folder / "metrics.json"), iou.to_numpy(np.float64))


def _metrics(path: Path) -> dict[str, float]:
    allowed = f"JSON that holds {', '.join(METRICS)}, each a number or null"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {key: math.nan if values[key] is None else float(values[key]) for key in METRICS}
    except KeyError as error:
        raise files.unreadable(path, f"no key {error}", allowed) from error
    except (OSError, ValueError, TypeError) as error:
        raise files.unreadable(path, error, allowed) from error


def table(results: list[Result]) -> list[list[str]]:
    """Return one row of text per model: its name and METRICS."""
    return [[result.name, *(decimal(result.metrics[key]) for key in METRICS)] for result in results]


def markdown(results: list[Result]) -> str:
    """Return the table of the models' metrics in Markdown, in percent."""
    lines = [
        ["model", "mIoU", "easy", "hard", "pixel accuracy"],
        ["---", *["---:"] * len(METRICS)],
        *table(results),
    ]
    return "".join(f"| {' | '.join(map(markdown_cell, line))} |\n" for line in lines)


@dataclass(frozen=True)
class SelectedSnapshots:
    """The snapshots of one model that the rules of validators.py choose.

    count: the number of snapshots; rows: (rule, whether `select` names this rule, iteration, mIoU in percent
    or None). Without labels the oracle has no row.
    """

    name: str
    count: int
    rows: list[tuple[str, bool, int, float | None]]


def selected_snapshots(tables: Mapping[str, pd.DataFrame], rule: str) -> list[SelectedSnapshots]:
    """Return the selected snapshots of each model.

    tables: model -> snapshots.csv; rule: the one in `select` of the params, whose snapshot the next stages
    use.
    """
    return [SelectedSnapshots(name, len(table), _rows(table, rule)) for name, table in tables.items()]


def _rows(table: pd.DataFrame, selected: str) -> list[tuple[str, bool, int, float | None]]:
    choices = ((rule, table[table[rule] == 1]) for rule in RULES)
    return [
        (rule, rule == selected, int(row["iteration"].iloc[0]), _or_none(float(row["mIoU"].iloc[0])))
        for rule, row in choices
        if len(row)
    ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def decimal(value: float | None, digits: int = 1) -> str:
    """Return `value` with `digits` decimals, never as "-0.0"; "-" for None and nan."""
    return "-" if value is None or math.isnan(value) else f"{value:z.{digits}f}"


def has_labels(results: list[Result]) -> bool:
    """Return whether the evaluation images have labels, so that the mIoU is known."""
    return any(not math.isnan(result.metrics["mIoU"]) for result in results)
