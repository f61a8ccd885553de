"""From index.csv to tensors: an endless, seeded stream for training, one pass for inference."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from intrada.core import files, seeding
from intrada.core.config.classes import IGNORE, labelled
from intrada.core.config.schema import Augment
from intrada.core.distributed.launcher import SINGLE_RANK, Rank
from intrada.core.errors import UserError

Item = TypeVar("Item")
PREFETCHED = 2  # batches that are read before they are asked for
_NO_LABEL = np.array(IGNORE, np.uint8)


class MicroBatchWeight(NamedTuple):
    """Weight of a micro-batch in the mean over the whole batch.

    images: its fraction of the images; pixels: its fraction of the labelled pixels, a scalar tensor, 0 where
    the whole batch has no labelled pixel.
    """

    images: float
    pixels: Tensor


class Batch(NamedTuple):
    """ids (N); image (N, 3, H, W) uint8 BGR; label (N, H, W) int64, 0..C-1 or 255, which means ignore.

    update_bn_stats: whether these images update the running statistics of batch normalisation in training.
    weight: of a micro-batch; None for a whole batch.
    """

    ids: list[str]
    image: Tensor
    label: Tensor
    update_bn_stats: bool = True
    weight: MicroBatchWeight | None = None

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on `device`; only for a whole batch."""
        return self._replace(image=self.image.to(device), label=self.label.to(device))

    def micro_batches(self, count: int, classes: int) -> list[Batch]:
        """Split into `count` micro-batches (views) of equally many images; `count` divides N."""
        if count == 1:
            return [self]
        length = len(self.ids) // count
        cuts = [slice(first, first + length) for first in range(0, len(self.ids), length)]
        micro_batches = [
            self._replace(ids=self.ids[cut], image=self.image[cut], label=self.label[cut]) for cut in cuts
        ]
        pixels = torch.stack([labelled(micro_batch.label, classes).sum() for micro_batch in micro_batches])
        images, weights = 1 / count, pixels / pixels.sum().clamp(min=1)
        if self.weight:
            images, weights = images * self.weight.images, weights * self.weight.pixels
        return [
            micro_batch._replace(weight=MicroBatchWeight(images, weight))
            for micro_batch, weight in zip(micro_batches, weights, strict=True)
        ]


class Sample(NamedTuple):
    """One image (3, H, W) uint8 BGR with its label (H, W) uint8; all 255 where there is none."""

    id: str
    image: Tensor
    label: Tensor


class InfiniteShuffledDataset(Dataset[Sample]):
    """Sample number p of a shuffled, augmented stream over an index, for any p >= 0.

    Every pass over the index has an order of its own. Sample p depends on (seed, name, p) alone, so
    that workers and resumed runs see what an uninterrupted run sees.
    """

    def __init__(self, index: pd.DataFrame, seed: int, name: str, augment: Augment, length: int) -> None:
        self.index, self.seed, self.name, self.augment, self.length = index, seed, name, augment, length
        self._pass, self._order = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> Sample:
        epoch, place = divmod(position, len(self.index))
        if epoch != self._pass:
            self._order = seeding.permutation(self.seed, len(self.index), self.name, "order", epoch)
            self._pass = epoch
        row = self.index.iloc[int(self._order[place])]
        image, label = read_pair(row)
        image, label = augmented(image, label, self.augment, seeding.stream(self.seed, self.name, position))
        return _sample(str(row.id), image, label)


class SequentialDataset(Dataset[Sample]):
    """The images of an index in its order; labels are not read."""

    def __init__(self, index: pd.DataFrame) -> None:
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Sample:
        row = self.index.iloc[position]
        image = files.read_image(Path(row.image))
        return _sample(str(row.id), image, np.broadcast_to(_NO_LABEL, image.shape[:2]))


def refuse_empty(index: pd.DataFrame, name: str) -> None:
    """UserError if the index, called `name` in the message, has no row."""
    if index.empty:
        raise UserError(
            f"index of the {name} images", "no image", "at least one", "see the stage that wrote it"
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
) -> Iterator[Batch]:
    """Batches number start..stop-1 of the stream called `name`; UserError for an empty index.

    part: of each batch, the images that this process is given; their number divides `batch_size`.
    """
    refuse_empty(index, name)
    data = InfiniteShuffledDataset(index, seed, name, augment, stop * batch_size)
    images = batch_size // rank.world_size
    firsts = range(start * batch_size + rank.rank * images, stop * batch_size, batch_size)
    positions = (list(range(first, first + images)) for first in firsts)
    # A loader draws from torch's generator when it starts; from one of its own, since a resumed run starts
    # it a second time and dropout must not notice.
    own = torch.Generator()
    return iter(DataLoader(data, batch_sampler=positions, collate_fn=_collate, generator=own))


def inference_batches(index: pd.DataFrame, batch_size: int, rank: Rank = SINGLE_RANK) -> Iterator[Batch]:
    """Yield every image once, in the order of the index; the images of one batch have one size.

    rank: this process gets every `rank.world_size`-th batch. Batches are never split across processes, so
    results are bit-identical for any number of processes.
    """
    return iter(
        DataLoader(
            SequentialDataset(index), batch_sampler=_rows(index, batch_size, rank), collate_fn=_collate
        )
    )


def counted_batches(
    index: pd.DataFrame, batch_size: int, rank: Rank = SINGLE_RANK
) -> tuple[Iterator[Batch], int]:
    """`inference_batches`, read ahead, and how many there are."""
    return prefetch(inference_batches(index, batch_size, rank)), len(_rows(index, batch_size, rank))


def _rows(index: pd.DataFrame, batch_size: int, rank: Rank) -> list[list[int]]:
    sizes = index.groupby(["width", "height"], sort=False).indices.values()
    batches = [list(rows[i : i + batch_size]) for rows in sizes for i in range(0, len(rows), batch_size)]
    return batches[rank.rank :: rank.world_size]


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The same items in the same order, AHEAD of them made by a thread before they are asked for.

    What making an item raises is raised where that item would have come.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        made: deque[Any] = deque(pool.submit(next, source, end) for _ in range(PREFETCHED))
        while (item := made.popleft().result()) is not end:
            made.append(pool.submit(next, source, end))
            yield item


def read_pair(row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3) uint8 BGR and label (H, W) uint8 of one row; all 255 where the row has no label."""
    image = files.read_image(Path(row.image))
    if not row.label:
        return image, np.broadcast_to(_NO_LABEL, image.shape[:2])
    label = files.read_label(Path(row.label))
    if label.shape != image.shape[:2]:
        raise UserError(
            row.label,
            f"{label.shape[1]}x{label.shape[0]} pixels, its image has {image.shape[1]}x{image.shape[0]}",
            "a label of its image's size",
            "run the stage that wrote it again",
        )
    return image, label


def augmented(
    image: np.ndarray, label: np.ndarray, augment: Augment, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror both with probability 1/2 and jitter contrast and brightness of the image, as asked."""
    if augment.flip and random.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    if augment.jitter:
        contrast, brightness = random.uniform(1 - augment.jitter, 1 + augment.jitter, 2)
        mean = image.mean(dtype=np.float32)
        image = (image - mean) * np.float32(contrast) + mean * np.float32(brightness)
        image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return image, label


def _sample(name: str, image: np.ndarray, label: np.ndarray) -> Sample:
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return Sample(name, pixels, torch.from_numpy(np.ascontiguousarray(label)))


def _collate(samples: list[Sample]) -> Batch:
    """Stack samples; UserError where images of one batch differ in size."""
    sizes = {tuple(sample.image.shape[1:]) for sample in samples}
    if len(sizes) > 1:
        raise UserError(
            f"images {', '.join(sample.id for sample in samples)}",
            f"sizes {sorted(sizes)} in one batch",
            "one size for all images of a training batch",
            "run preprocess, which resizes them, or set batch_size: 1",
        )
    images = torch.stack([sample.image for sample in samples])
    labels = torch.stack([sample.label for sample in samples])  # bytes up to here: an eighth of the memory
    return Batch([sample.id for sample in samples], images, labels.long())
