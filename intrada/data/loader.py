"""Batches of the images of an index: an infinite, seeded stream for training, one pass for inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from intrada.core import files, seeding
from intrada.core.config.augment_blocks import Augment
from intrada.core.config.classes import IGNORE
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.errors import UserError
from intrada.data import mixing, scratch
from intrada.data.augmentation import augmented
from intrada.data.batch import Batch
from intrada.data.cropping import cropped
from intrada.data.photometric import photometric
from intrada.data.prefetching import Threads, prefetch

Failed = Callable[[str, UserError], None]  # called with the id of an image and its error
_NO_LABEL = np.array(IGNORE, np.uint8)


class Sample(NamedTuple):
    """One image (3, H, W) uint8 BGR with its label (H, W) uint8, which is 255 everywhere if there is none.

    easy: whether the index has a column `easy` that is True for the image.
    """

    id: str
    image: Tensor
    label: Tensor
    easy: bool = False


class InfiniteShuffledDataset(Dataset[Sample]):
    """The samples of an infinite, shuffled, augmented stream over an index.

    Every pass over the index is shuffled anew. The sample at position p >= 0 depends only on (seed, name, p),
    so that resumed runs get the same samples as an uninterrupted run. name: the name of the stream, part of
    the seed; length: the number of samples that `len` returns.
    """

    def __init__(self, index: pd.DataFrame, seed: int, name: str, augment: Augment, length: int) -> None:
        self.index, self.seed, self.name, self.augment, self.length = index, seed, name, augment, length
        self._order = (-1, np.empty(0, np.int64))  # a pass, and its order

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> Sample:
        row = self.index.iloc[self.row(position)]
        return self.changed(row, *self.read(row), position)

    def row(self, position: int) -> int:
        """Return the row of the index at a position."""
        number, offset = divmod(position, len(self.index))
        epoch, order = self._order  # read and set as a whole: other threads may be in the next pass
        if epoch != number:
            order = seeding.permutation(self.seed, len(self.index), self.name, "order", number)
            self._order = number, order
        return int(order[offset])

    def read(self, row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return image and label of a row of the index; see `read_pair`."""
        return read_pair(row)

    def changed(
        self, row: pd.Series, image: np.ndarray, label: np.ndarray, position: int, attempt: int = 0
    ) -> Sample:
        """Return the sample of an image (H, W, 3) uint8 BGR and label (H, W) uint8 with random changes.

        They depend on (seed, name, position, attempt).
        """
        names = (f"{self.name}/try{attempt}" if attempt else self.name, position)
        image, label = augmented(image, label, self.augment, seeding.stream(self.seed, *names))
        image, label = cropped(image, label, self.augment, seeding.stream(self.seed, *names, "crop"))
        sample = _sample(str(row.id), image, label)
        random = seeding.stream(self.seed, *names, "photometric")
        pixels = photometric(sample.image, self.augment, random)
        return sample._replace(image=pixels, easy=bool(row.get("easy", False)))


class MixedDataset(Dataset[Sample]):
    """The samples of a joined index: each data set has a stream of its own; they are mixed by the weights."""

    def __init__(self, index: pd.DataFrame, seed: int, name: str, augment: Augment, length: int) -> None:
        self.weights, self.length = mixing.weights(index), length
        names = {part: name if part == mixing.FIRST else f"{name}/{part}" for part in mixing.split(index)}
        self.parts = [
            InfiniteShuffledDataset(rows, seed, names[part], augment, length)
            for part, rows in mixing.split(index).items()
        ]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> Sample:
        part, number = mixing.draw(position, self.weights)
        return self.parts[part][number]


class SequentialDataset(Dataset[Sample | None]):
    """The images of an index in its order. Labels are not read.

    failed: called with the id and the UserError of an image that cannot be read, which is then None; without
    it, the error is raised.
    """

    def __init__(self, index: pd.DataFrame, failed: Failed | None = None) -> None:
        self.index, self.failed = index, failed

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Sample | None:
        row = self.index.iloc[position]
        try:
            image = _read_as_listed(row)
        except UserError as error:
            if not self.failed:
                raise
            self.failed(str(row.id), error)
            return None
        return _sample(str(row.id), image, np.broadcast_to(_NO_LABEL, image.shape[:2]))


def refuse_empty(index: pd.DataFrame, name: str) -> None:
    """Raise UserError if the index has no row. name: its name in the message."""
    if index.empty:
        raise UserError(
            f"index of the {name} images", "no image", "at least one", "check the stage that wrote it"
        )


def training_stream(
    index: pd.DataFrame,
    seed: int,
    name: str,
    augment: Augment,
    batch_size: int,
    start: int,
    stop: int,
    rank: Rank = SINGLE_RANK,
    threads: Threads | None = None,
) -> Iterator[Batch]:
    """Return the batches start..stop-1 of the stream called `name`.

    rank: each process gets an equal share of the images of a batch; `rank.world_size` divides `batch_size`.
    threads: they compute the samples in advance; None: the calling thread does, one batch at a time.
    Raises UserError for an empty index, and while iterating for an unreadable file, a label of another size
    than its image, and images of different sizes in a batch.
    """
    refuse_empty(index, name)
    samples = MixedDataset if mixing.DATASET in index else InfiniteShuffledDataset
    data = samples(index, seed, name, augment, stop * batch_size)
    return batches_of(data, batch_size, start, stop, rank, threads)


def batches_of(
    data: Dataset[Sample],
    batch_size: int,
    start: int,
    stop: int,
    rank: Rank = SINGLE_RANK,
    threads: Threads | None = None,
) -> Iterator[Batch]:
    """Return the batches start..stop-1 of a stream of samples. rank, threads: see `training_stream`."""
    images = batch_size // rank.world_size
    firsts = range(start * batch_size + rank.rank * images, stop * batch_size, batch_size)
    positions = (range(first, first + images) for first in firsts)
    if threads:
        return map(_collate, threads.groups(data.__getitem__, positions))
    return (_collate([data[position] for position in group]) for group in positions)


def inference_batches(
    index: pd.DataFrame, batch_size: int, rank: Rank = SINGLE_RANK, failed: Failed | None = None
) -> Iterator[Batch]:
    """Yield every image once. The images of a batch have the same size and are in the order of the index.

    rank: this process gets every `rank.world_size`-th batch. Batches are never split across processes, so
    results are bit-identical for any number of processes. failed: see SequentialDataset; images that cannot
    be read are left out. Raises UserError while iterating for such an image if there is no `failed`.
    """
    rows = _rows(index, batch_size, rank)
    loader = DataLoader(SequentialDataset(index, failed), batch_sampler=rows, collate_fn=_collate_read)
    return (batch for batch in loader if batch is not None)


def counted_batches(
    index: pd.DataFrame, batch_size: int, rank: Rank = SINGLE_RANK, failed: Failed | None = None
) -> tuple[Iterator[Batch], int]:
    """Return `inference_batches` with prefetching, and the number of batches."""
    batches = inference_batches(index, batch_size, rank, failed)
    return prefetch(batches), len(_rows(index, batch_size, rank))


def _rows(index: pd.DataFrame, batch_size: int, rank: Rank) -> list[list[int]]:
    sizes = index.groupby(["width", "height"], sort=False).indices.values()
    batches = [list(rows[i : i + batch_size]) for rows in sizes for i in range(0, len(rows), batch_size)]
    return batches[rank.rank :: rank.world_size]


def _read_as_listed(row: pd.Series) -> np.ndarray:
    """Read the image of a row of the index. UserError if it is unreadable or has another size than listed."""
    image = scratch.read(files.read_image, Path(row.image))
    if image.shape[:2] != (row.height, row.width):
        raise UserError(
            row.image,
            f"{image.shape[1]}x{image.shape[0]} pixels, the index says {row.width}x{row.height}",
            "the image as its stage wrote it",
            "run the stage again that wrote it",
        )
    return image


def read_pair(row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Read the image (H, W, 3) uint8 BGR and label (H, W) uint8 of a row of the index.

    The label is 255 everywhere if the row has none. Raises UserError for an unreadable file, and for a label
    of another size than its image.
    """
    image = scratch.read(files.read_image, Path(row.image))
    if not row.label:
        return image, np.broadcast_to(_NO_LABEL, image.shape[:2])
    label = scratch.read(files.read_label, Path(row.label))
    if label.shape != image.shape[:2]:
        raise UserError(
            row.label,
            f"{label.shape[1]}x{label.shape[0]} pixels, its image has {image.shape[1]}x{image.shape[0]}",
            "a label of the size of its image",
            "run the stage that wrote it again",
        )
    return image, label


def _sample(name: str, image: np.ndarray, label: np.ndarray) -> Sample:
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return Sample(name, pixels, torch.from_numpy(np.ascontiguousarray(label)))


def _collate_read(samples: list[Sample | None]) -> Batch | None:
    """Stack the images that were read; None if there is none."""
    read = [sample for sample in samples if sample is not None]
    return _collate(read) if read else None


def _collate(samples: list[Sample]) -> Batch:
    """Stack samples to a batch. Raises UserError if the images differ in size."""
    sizes = {tuple(sample.image.shape[1:]) for sample in samples}
    if len(sizes) > 1:
        raise UserError(
            f"images {', '.join(sample.id for sample in samples)}",
            f"sizes {sorted(sizes)} in one batch",
            "one size for all images of a training batch",
            "run preprocess, which resizes them, or set batch_size: 1",
        )
    # NumPy copies with one thread. torch has a team of threads for each thread of Python, and they wait for
    # each other in busy loops, which takes the processor from the training.
    images = np.stack([sample.image.numpy() for sample in samples])
    labels = np.stack([sample.label.numpy() for sample in samples], dtype=np.int64)
    easy = [sample.easy for sample in samples]
    ids = [sample.id for sample in samples]
    return Batch(ids, torch.from_numpy(images), torch.from_numpy(labels), easy=easy)
