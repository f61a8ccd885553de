"""The classes on the page: their IoU under each model, and which classes are confused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from intrada.core.config.classes import ClassSet
from intrada.evaluation.metrics import Confusion
from intrada.evaluation.reporting.results import Result, decimal
from intrada.evaluation.reporting.svg import tag

CELL = 30  # pixels of a cell of the confusion matrix
CHARACTER = 6.6  # width of a character of its labels, pixels


@dataclass(frozen=True)
class Row:
    """A class. cells: for each model its IoU in percent, nan if absent.

    gain: of the last model over the first.
    """

    name: str
    red_green_blue: tuple[int, int, int]
    cells: list[float]
    gain: float

    @property
    def color(self) -> str:
        """The colour as #rrggbb."""
        return hex_color(self.red_green_blue)

    @property
    def rgb(self) -> str:
        """The colour as "red green blue", 0..255 each."""
        return "{} {} {}".format(*self.red_green_blue)

    @property
    def best(self) -> str:
        """The highest IoU as text: values that look equal are all best."""
        return decimal(max((cell for cell in self.cells if not math.isnan(cell)), default=None))

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest IoU; nan if the class is absent."""
        present = [cell for cell in self.cells if not math.isnan(cell)]
        return (min(present), max(present)) if present else (math.nan, math.nan)


def hex_color(color: tuple[int, int, int]) -> str:
    """Return #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def rows(models: Sequence[Result], classes: ClassSet) -> list[Row]:
    """Return one row for each class, in the order of the network's outputs."""
    ious = [[float(model.class_iou[index]) for model in models] for index in range(len(classes))]
    return [
        Row(entry.name, entry.color, values, values[-1] - values[0])
        for entry, values in zip(classes.classes, ious, strict=True)
    ]


def confusion_matrix(confusion: Confusion, classes: ClassSet, name: str) -> Markup:
    """Draw the matrix (C, C), rows are the truth: the share of a true class that is predicted as each class.

    A row without a labelled pixel has no cells.
    """
    count, names = len(classes), classes.names
    left = 30 + CHARACTER * max(map(len, names))
    height = left - 8  # the labels of the columns are turned
    marks: list[Markup] = [
        tag(
            "text",
            "true class",
            x=9,
            y=height + CELL * count / 2,
            text_anchor="middle",
            transform=_turn(9, height + CELL * count / 2),
        ),
        tag("text", "predicted class", x=left + CELL * count / 2, y=11, text_anchor="middle"),
    ]
    for index, label in enumerate(names):
        middle = CELL * (index + 0.5)
        x, y = left + middle + 4, height - 6
        marks.append(tag("text", label, x=left - 6, y=height + middle + 4, text_anchor="end"))
        marks.append(tag("text", label, x=x, y=y, transform=_turn(x, y)))
        marks += _cells(confusion[index], names, index, (left, height + CELL * index))
    view = f"0 0 {left + CELL * count + 4:.0f} {height + CELL * count + 4:.0f}"
    label = f"confusion matrix of {name}: percent of the pixels of a true class"
    return tag("svg", *marks, viewBox=view, class_="matrix", role="img", aria_label=label)


def _turn(x: float, y: float) -> str:
    return f"rotate(-90 {x:.1f} {y:.1f})"


def _cells(row: NDArray[Any], names: Sequence[str], truth: int, at: tuple[float, float]) -> list[Markup]:
    total = int(row.sum())
    marks = []
    for index, pixels in enumerate(row if total else ()):
        percent = 100 * float(pixels) / total
        x, y = at[0] + CELL * index, at[1]
        title = f"true {names[truth]}, predicted {names[index]}: {decimal(percent)} %"
        style = f"--v: {percent:.0f}"
        kind = "cell hit" if index == truth else "cell"
        size = CELL - 2
        marks.append(
            tag("rect", tag("title", title), x=x, y=y, width=size, height=size, class_=kind, style=style)
        )
        if percent >= 0.5:
            marks.append(
                tag(
                    "text",
                    f"{percent:.0f}",
                    x=x + size / 2,
                    y=y + size / 2 + 4,
                    text_anchor="middle",
                    class_="value",
                )
            )
    return marks


def most_confused(confusion: Confusion, classes: ClassSet) -> tuple[str, str, float] | None:
    """Return the true class, the predicted class and the percentage of the most frequent mistake, by share.

    None without a mistake.
    """
    totals = confusion.sum(1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    np.fill_diagonal(shares, 0)
    truth, predicted = np.unravel_index(int(shares.argmax()), shares.shape)
    if shares[truth, predicted] == 0:
        return None
    return classes.names[truth], classes.names[predicted], 100 * float(shares[truth, predicted])
