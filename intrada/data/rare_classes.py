"""Rare class sampling: labelled images are drawn so that rare classes are seen more often.

Source: DAFormer (Hoyer et al., CVPR 2022), section 3.2, equations 4 and 5: a class is drawn with a
probability that grows as its share of the pixels falls, then an image that holds it, then a crop that does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import seeding
from intrada.core.config.augment_blocks import Augment
from intrada.core.config.training_blocks import RareClassSampling
from intrada.core.errors import UserError
from intrada.data import mixing
from intrada.data.loader import InfiniteShuffledDataset, Sample
from intrada.data.tables import PIXELS

CROP_PART = 0.5  # of the pixels that an image must have of the class; a crop must have as many


def probabilities(pixels: NDArray[np.int64], temperature: float) -> NDArray[np.float64]:
    """Return the probability of each class, (C,), from its pixels in the data set, (C,).

    P(c) is proportional to exp((1 - f_c) / T), where f_c is the share of the labelled pixels; 0 for a class
    without pixels.
    """
    share = pixels / max(1, pixels.sum())
    rarity = (1 - share) / temperature
    weights = np.where(pixels > 0, np.exp(np.minimum(rarity - rarity[pixels > 0].max(), 0.0)), 0.0)
    result: NDArray[np.float64] = weights / weights.sum()
    return result


class RareClassDataset(InfiniteShuffledDataset):
    """The samples of a stream in which a class is drawn first.

    index: with a column of pixels for each class, in the order of the class indices. An image holds a class
    if at least `min_share` of its pixels are of it; if no image does, the images with any of its pixels are
    taken. Of several sources one that has such an image is drawn first, with a probability proportional to
    its weight; for the probability of a class the pixels of all sources count alike. Of an image up to
    `tries` crops are made, until one has half of `min_share` of the image's pixels; the last one is used. The
    sample at a position depends on (seed, name, position) only. Raises UserError for an index without these
    columns or without a labelled pixel.
    """

    def __init__(
        self,
        index: pd.DataFrame,
        seed: int,
        name: str,
        augment: Augment,
        length: int,
        settings: RareClassSampling,
    ) -> None:
        super().__init__(index, seed, name, augment, length)
        self.settings = settings
        columns = [column for column in index if str(column).startswith(PIXELS)]
        pixels = index[columns].to_numpy(np.int64)
        if not columns or not pixels.any():
            raise UserError(
                "rare_class_sampling",
                "an index without pixels of classes",
                "source images with labels, and class_pixels: true in their blocks",
                "set preprocess.source.class_pixels to true",
            )
        self.probabilities = probabilities(pixels.sum(0), settings.temperature)
        least = settings.min_share * (index["width"] * index["height"]).to_numpy()[:, None]
        holds = (pixels >= least) & (pixels > 0)
        holds = np.where(holds.any(0), holds, pixels > 0)
        self.rows = [np.flatnonzero(of_class) for of_class in holds.T]
        self.sources = _sources(index)

    def __getitem__(self, position: int) -> Sample:
        number, row = self.draw(position)
        image, label = self.read(row)
        least = CROP_PART * self.settings.min_share * label.size
        for attempt in range(self.settings.tries if self.augment.crop else 1):
            sample = self.changed(row, image, label, position, attempt)
            if int((sample.label == number).sum()) >= least:
                break
        return sample

    def draw(self, position: int) -> tuple[int, pd.Series]:
        """Return the class index that is drawn at a position, and the row of an image that holds it."""
        random = seeding.stream(self.seed, self.name, "rare", position)
        number = int(random.choice(len(self.probabilities), p=self.probabilities))
        rows = self.rows[number]
        if len(self.sources) > 1:
            held = [(np.intersect1d(rows, of_source), weight) for of_source, weight in self.sources]
            held = [(of_source, weight) for of_source, weight in held if len(of_source)]
            weights = np.array([weight for _, weight in held])
            rows = held[int(random.choice(len(held), p=weights / weights.sum()))][0]
        return number, self.index.iloc[int(rows[random.integers(len(rows))])]


def _sources(index: pd.DataFrame) -> Sequence[tuple[NDArray[np.int64], float]]:
    """Return the rows and the weight of each source of an index; of one that is not joined, one source."""
    if mixing.DATASET not in index:
        return [(np.arange(len(index)), 1.0)]
    names = index[mixing.DATASET].to_numpy()
    return [
        (np.flatnonzero(names == name), weight)
        for name, weight in zip(mixing.split(index), mixing.weights(index), strict=True)
    ]
