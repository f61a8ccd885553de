"""What the evaluate stage left of one model, as the report uses it."""

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
from intrada.evaluation.validators import RULES

METRICS = ("mIoU", "mIoU_easy", "mIoU_hard", "pixel_accuracy")


@dataclass(frozen=True)
class Result:
    """One model on the evaluation images.

    name: source, inter, intra or a round; metrics: METRICS in percent, nan where no label speaks;
    class_iou: (C,) float64 in percent, nan where a class is absent.
    """

    name: str
    metrics: dict[str, float]
    class_iou: NDArray[np.float64]


def read(name: str, folder: Path, classes: ClassSet) -> Result:
    """metrics.json and classes.csv of `folder`; UserError if one is broken or of other classes."""
    path, allowed = folder / "classes.csv", f"the IoU of the {len(classes)} classes of the params file"
    iou = files.read_csv(path, ["class", "iou"])["iou"]
    if len(iou) != len(classes) or not pd.api.types.is_numeric_dtype(iou):
        raise files.unreadable(path, f"{len(iou)} rows, IoU of type {iou.dtype}", allowed)
    return Result(name, _metrics(folder / "metrics.json"), iou.to_numpy(np.float64))


def _metrics(path: Path) -> dict[str, float]:
    allowed = f"JSON that holds {', '.join(METRICS)}, each a number or null"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: math.nan if found[key] is None else float(found[key]) for key in METRICS}
    except KeyError as error:
        raise files.unreadable(path, f"no key {error}", allowed) from error
    except (OSError, ValueError, TypeError) as error:
        raise files.unreadable(path, error, allowed) from error


def table(results: list[Result]) -> list[list[str]]:
    """A row a model: its name and METRICS, as text."""
    return [[result.name, *(decimal(result.metrics[key]) for key in METRICS)] for result in results]


def markdown(results: list[Result]) -> str:
    """The table of models in Markdown, in percent."""
    lines = [
        ["model", "mIoU", "easy", "hard", "pixel accuracy"],
        ["---", *["---:"] * len(METRICS)],
        *table(results),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@dataclass(frozen=True)
class Selected:
    """What each rule of selection.py chooses among a model's snapshots.

    count: of snapshots; rows: (rule, in use, iteration, mIoU in percent or None); the oracle has no row
    where there are no labels.
    """

    name: str
    count: int
    rows: list[tuple[str, bool, int, float | None]]


def selection(choices: Mapping[str, pd.DataFrame], rule: str) -> list[Selected]:
    """`choices`: the snapshots.csv of each model; `rule`: the one that the pipeline goes on with."""
    return [Selected(name, len(table), _chosen(table, rule)) for name, table in choices.items()]


def _chosen(table: pd.DataFrame, used: str) -> list[tuple[str, bool, int, float | None]]:
    found = ((rule, table[table[rule] == 1]) for rule in RULES)
    return [
        (rule, rule == used, int(row["iteration"].iloc[0]), _or_none(float(row["mIoU"].iloc[0])))
        for rule, row in found
        if len(row)
    ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def decimal(value: float | None, digits: int = 1) -> str:
    """`value` with one decimal (never "-0.0"); a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:z.{digits}f}"


def has_labels(results: list[Result]) -> bool:
    """Whether the evaluation images had labels, so that there are numbers to show."""
    return any(not math.isnan(result.metrics["mIoU"]) for result in results)
