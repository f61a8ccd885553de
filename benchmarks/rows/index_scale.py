"""Measure the memory for a million target images: reading the index, sampling from it, ranking."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import Row
from benchmarks.streets import temporary_folder
from intrada.core import files, seeding
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.data import tables
from intrada.methods import ranking

PRESET = Path("presets/gta5_to_cityscapes.yaml")
INDEX, SCORES = Path("index.csv"), Path("scores.csv")
IMAGES, TRACED = 1_000_000, 100_000  # tracing every allocation multiplies the run time


def measure() -> Row:
    """Return the peak of Python's memory and the size of the two tables, in MiB."""
    params = load(PRESET)
    with temporary_folder():
        _write(IMAGES, list(map(str, params.classes)))
        tracemalloc.start()
        own = sum(int(frame.memory_usage(deep=True).sum()) for frame in _work(params))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return Row("index_scale", peak / 2**20, own / 2**20, peak / own, "MiB", "under 4")


def _write(images: int, classes: list[str]) -> None:
    files.write_csv(INDEX, _index(images))
    files.write_csv(SCORES, _scores(images, classes))


def _work(params: Params) -> list[pd.DataFrame]:
    frames = [tables.read(INDEX, tables.INDEX), tables.read(SCORES, tables.SCORES)]
    order = seeding.permutation(params.seed, len(frames[0]), "target", "order", 0)
    for row in order[:1000]:  # the lookup of InfiniteShuffledDataset for each sample
        assert frames[0].iloc[int(row)].image
    ranking.rank(frames[1], params.rank.rule, params.rank.easy_fraction, params.rank.rare_classes)
    return frames


def _index(images: int) -> pd.DataFrame:
    names = [f"city_{number:07d}" for number in range(images)]
    paths = [f"data/preprocess/target/images/{name}.png" for name in names]
    columns = (names, paths, "", 1024, 512)
    return pd.DataFrame(dict(zip(tables.INDEX_COLUMNS, columns, strict=True)))


def _scores(images: int, classes: list[str]) -> pd.DataFrame:
    random = np.random.default_rng(1)
    counts = {tables.PIXELS + name: random.integers(0, 9, images) for name in classes}
    names = [f"city_{number:07d}" for number in range(images)]
    return pd.DataFrame({"image": names, "entropy": random.random(images), **counts})
