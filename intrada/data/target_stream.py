"""The stream of target images of a training with a teacher: where it may label pixels, and a curriculum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from intrada.core import seeding
from intrada.core.config.augment_blocks import Augment
from intrada.core.config.classes import IGNORE
from intrada.core.config.self_training import Margins
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.data.batch import Batch
from intrada.data.loader import InfiniteShuffledDataset, batches_of, read_pair, refuse_empty
from intrada.data.prefetching import Threads


class TargetDataset(InfiniteShuffledDataset):
    """Samples without labels: a label is 0 where the teacher may label a pixel, and 255 in the margins.

    So margins and padding follow an image through its flips and crops. Each pass over the index is shuffled
    anew, unless `first` is given; then the sample at a position is drawn from the first rows of the index:
    from the first `first` of them at position 0, evenly growing to all of them at position `length`. A sample
    depends on (seed, name, position) only, with `first` also on `length`.
    """

    def __init__(
        self,
        index: pd.DataFrame,
        seed: int,
        name: str,
        augment: Augment,
        length: int,
        margins: Margins,
        first: int | None,
    ) -> None:
        super().__init__(index, seed, name, _without_limit(augment), length)
        self.margins, self.first = margins, first

    def row(self, position: int) -> int:
        """Return the row of the index at a position."""
        if self.first is None:
            return super().row(position)
        drawn = self.first + (len(self.index) - self.first) * position // self.length
        return int(seeding.stream(self.seed, self.name, "drawn", position).integers(max(1, drawn)))

    def read(self, row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the image of a row of the index, and the area that may be labelled."""
        image, _ = read_pair(row)
        return image, labelled_area(image.shape[:2], self.margins)


def _without_limit(augment: Augment) -> Augment:
    """Return the settings without the limit of a crop on its largest class: a target has no classes."""
    if augment.crop is None:
        return augment
    return augment.model_copy(update={"crop": augment.crop.model_copy(update={"cat_max_ratio": 1.0})})


def labelled_area(size: tuple[int, int], margins: Margins) -> np.ndarray:
    """Return (H, W) uint8: 0 inside, 255 in the margins; size: (H, W). Borders are rounded to pixels."""
    height, width = size
    area = np.full(size, IGNORE, np.uint8)
    rows = slice(round(margins.top * height), height - round(margins.bottom * height))
    columns = slice(round(margins.left * width), width - round(margins.right * width))
    area[rows, columns] = 0
    return area


def target_stream(
    index: pd.DataFrame,
    seed: int,
    name: str,
    augment: Augment,
    batch_size: int,
    start: int,
    stop: int,
    margins: Margins | None,
    first: int | None = None,
    rank: Rank = SINGLE_RANK,
    threads: Threads | None = None,
) -> Iterator[Batch]:
    """Return the batches start..stop-1 of a stream of target images for a teacher; see TargetDataset.

    stop: the last iteration of the run. Other arguments and errors as of `loader.training_stream`.
    """
    refuse_empty(index, name)
    data = TargetDataset(index, seed, name, augment, stop * batch_size, margins or Margins(), first)
    return batches_of(data, batch_size, start, stop, rank, threads)
