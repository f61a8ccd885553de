"""The streams of images of a training run, one batch of each for an iteration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import repeat, starmap

import pandas as pd
import torch

from intrada.core.config.training_blocks import Training
from intrada.core.distributed.launcher import Rank
from intrada.data import mixing
from intrada.data.batch import Batch
from intrada.data.loader import batches_of, training_stream
from intrada.data.prefetching import Threads, prefetch
from intrada.data.rare_classes import RareClassDataset
from intrada.data.target_stream import target_stream
from intrada.data.train_batches import TrainBatch, TrainData
from intrada.methods import method

MOST_THREADS = 4  # that read images by default for a training on a GPU


def default_threads(device: torch.device) -> int:
    """Return how many threads read images for a training on `device`; on a CPU it needs the cores itself."""
    return min(MOST_THREADS, os.cpu_count() or 1) if device.type == "cuda" else 1


def batches_on(
    device: torch.device, count: int, block: Training, data: TrainData, seed: int, start: int, rank: Rank
) -> Iterator[TrainBatch]:
    """Yield the batches of the iterations from `start` on `device`, read in advance by `count` threads.

    The batches are the same for any number of threads. To a GPU they are copied from pinned memory, for which
    the processor does not wait.
    """
    with ThreadPoolExecutor(count) as pool:
        batches = train_batches(block, data, seed, start, rank, Threads(pool, count))
        if device.type == "cuda":
            batches = (batch.pinned() for batch in batches)
        with closing(prefetch(batches)) as prefetched:
            for batch in prefetched:
                yield batch.to(device)


def train_batches(
    block: Training, data: TrainData, seed: int, start: int, rank: Rank, threads: Threads | None = None
) -> Iterator[TrainBatch]:
    """Yield the batches of the iterations from `start`; None for those that the method does not use.

    threads: see `training_stream`.
    """
    stop = block.iterations

    def stream(
        index: pd.DataFrame, domain: str, name: str, start: int = start, stop: int = stop
    ) -> Iterator[Batch]:
        augment = block.augment_for_target if name == "target" else block.augment
        settings, rare, size = block.self_training, block.rare_class_sampling, block.batch_size
        if name == "labelled" and rare:
            data_set = RareClassDataset(index, seed, name, augment, stop * block.batch_size, rare)
            batches = batches_of(data_set, size, start, stop, rank, threads)
        elif name == "target" and settings:
            batches = target_stream(
                index, seed, name, augment, size, start, stop, settings.margins, data.first, rank, threads
            )
        else:
            batches = training_stream(index, seed, name, augment, size, start, stop, rank, threads)
        update_bn_stats = block.bn_statistics == "all" or domain != data.source_domain
        return (batch._replace(update_bn_stats=update_bn_stats) for batch in batches)

    def mixed(*groups: tuple[pd.DataFrame, str, str]) -> Iterator[Batch]:
        """One batch per iteration, of one of the groups: their images may differ in size and domain."""
        weights = [sum(mixing.weights(index)) for index, _, _ in groups]
        spans = zip(mixing.counts(start, weights), mixing.counts(stop, weights), strict=True)
        streams = [stream(*group, *span) for group, span in zip(groups, spans, strict=True)]
        return (next(streams[mixing.draw(number, weights)[0]]) for number in range(start, stop))

    # Do not change the stream names: they seed the order and the augmentation of the images.
    supervised = ((data.supervised, "supervised", "extra"), (data.target_labelled, "target", "few"))
    groups = [(index, domain, name) for index, domain, name in supervised if index is not None]
    count, partners = stop - start, data.partners
    streams = (
        stream(data.source, "source", "labelled"),
        stream(data.target, "target", "target") if method(block.method).NEEDS_TARGET else repeat(None, count),
        mixed(*groups) if groups else repeat(None, count),
        repeat(None, count) if partners is None else stream(partners, "target", "partner"),
    )
    return starmap(TrainBatch, zip(*streams, strict=True))
