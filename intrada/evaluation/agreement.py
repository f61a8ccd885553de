"""How much two models agree, from their label maps alone: no label of a person is needed.

A pair of models has a matrix like a confusion matrix, with the first model in place of the truth.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.evaluation.metrics import Confusion, confusion_matrix, iou, pixel_accuracy

Pair = tuple[str, str]


def pairs(models: Sequence[str]) -> list[Pair]:
    """Return the pairs that are compared: each model and the next, and the first with the last."""
    return list(dict.fromkeys([*itertools.pairwise(models), (models[0], models[-1])]))


def joint(maps: Mapping[str, NDArray[np.uint8]], compared: Sequence[Pair], classes: int) -> list[Confusion]:
    """Return the matrix (C, C) of each pair for one image: pixels, rows are the first model's classes.

    maps: model -> label map (H, W) of class indices. Raises ValueError for maps of different sizes.
    """
    return [confusion_matrix(maps[first], maps[second], classes) for first, second in compared]


def of_image(matrices: Sequence[Confusion]) -> list[float]:
    """Return the percent of pixels to which both models of a pair give the same class, for each pair."""
    return [100 * pixel_accuracy(matrix) for matrix in matrices]


def by_class(matrix: Confusion) -> NDArray[np.float64]:
    """Return the agreement on each class, (C,) in percent; nan for a class that neither model predicts.

    It is the IoU of the pixels that the two models give to the class.
    """
    return 100 * iou(matrix)


def least(table: pd.DataFrame, column: str, count: int) -> pd.DataFrame:
    """Return the `count` rows with the lowest agreement in `column`, lowest first; ties as in the table."""
    return table.sort_values(column, kind="stable").head(count)
