"""Several labelled data sets as one index, and the order in which their images are drawn.

A data set with weight w gives w images for each image of a data set with weight 1, evenly spaced: its image
number n (from 0) has the time (2 n + 1) / w, and images are drawn by increasing time, those of the first data
set first at equal times (the divisor method of Sainte-Lague). So the number of its images among any first p
is near p w / W, where W is the sum of all weights, and the image at a position depends on the weights alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from pathlib import Path

import pandas as pd

from intrada.core.errors import UserError
from intrada.data import tables

FIRST = "source"  # the name of the data set of preprocess.source
DATASET = "dataset"  # a column of joined indexes only


def read(table: Path, first: Path) -> pd.DataFrame:
    """Return the joined index of `first` and of the data sets in `table`; that of `first` alone unchanged.

    table: as `join` writes it; first: the index.csv of preprocess.source, whose weight is 1. UserError for a
    further data set without an image, and for images of which none has a label.
    """
    index = _labelled(first)
    others = _sets(table)
    return joined({FIRST: (index, 1.0), **others}) if others else index


def read_sets(table: Path) -> pd.DataFrame | None:
    """Return the joined index of the data sets in `table`; None if there is none. UserErrors as `read`."""
    sets = _sets(table)
    return joined(sets) if sets else None


def _sets(table: Path) -> dict[str, tuple[pd.DataFrame, float]]:
    """Return name -> (index, weight)."""
    sets = {}
    rows = tables.read(table, tables.SETS)
    for (name, path), weight in zip(tables.indexes_of(table).items(), rows["weight"], strict=True):
        index = _labelled(path)
        if index.empty:
            raise UserError(path, "no image", "at least one", "check the stage that wrote it")
        sets[name] = index, float(weight)
    return sets


def _labelled(path: Path) -> pd.DataFrame:
    """Read an index. UserError if no image has a label: a training would learn nothing from them."""
    index = tables.read(path, tables.INDEX)
    if len(index) and not (index["label"] != "").any():
        raise UserError(
            path,
            f"none of its {len(index)} images has a label",
            "the index of labelled images, which `preprocess --domain source` writes",
            "name that index; `preprocess --domain target` leaves the labels out",
        )
    return index


def joined(sets: Mapping[str, tuple[pd.DataFrame, float]]) -> pd.DataFrame:
    """Return one index of several, given name -> (index, weight).

    It has two more columns, `dataset` and `weight`, and each id begins with the name of its data set.
    """
    frames = [
        index.assign(id=f"{name}/" + index["id"], dataset=name, weight=weight)
        for name, (index, weight) in sets.items()
    ]
    return pd.concat(frames, ignore_index=True)


def split(index: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the index of each data set of a joined index by its name."""
    return {str(name): frame for name, frame in index.groupby(DATASET, sort=False)}


def weights(index: pd.DataFrame) -> list[float]:
    """Return the weights of the data sets of an index, in the order of `split`; [1] if it is not joined."""
    if DATASET not in index:
        return [1.0]
    return [float(frame["weight"].iloc[0]) for frame in split(index).values()]


def draw(position: int, weights: Sequence[float]) -> tuple[int, int]:
    """Return (data set, number): the image at `position` >= 0 is number `number` of that data set, from 0."""
    before, following = _around(position, weights)
    return following[position - sum(before)]


def counts(position: int, weights: Sequence[float]) -> list[int]:
    """Return how many of the first `position` images are of each data set."""
    before, following = _around(position, weights)
    drawn = [which for which, _ in following[: position - sum(before)]]
    return [number + drawn.count(which) for which, number in enumerate(before)]


def _around(position: int, weights: Sequence[float]) -> tuple[list[int], list[tuple[int, int]]]:
    """Return how many images of each data set surely come before `position`, and those that follow in order.

    A count differs from its exact share by at most the number of data sets, so the images around the share
    are enough to find the one at `position`.
    """
    margin = len(weights) + 1
    before = [max(0, floor(position * weight / sum(weights)) - margin) for weight in weights]
    near = [
        ((2 * number + 1) / weight, which, number)
        for which, (first, weight) in enumerate(zip(before, weights, strict=True))
        for number in range(first, first + 2 * margin + 2)
    ]
    return before, [(which, number) for _, which, number in sorted(near)]
