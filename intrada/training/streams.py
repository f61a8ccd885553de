"""The streams of images of a training run, one batch of each for an iteration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat, starmap

import pandas as pd

from intrada.core.config.training_blocks import Training
from intrada.core.distributed.launcher import Rank
from intrada.data import mixing
from intrada.data.batch import Batch
from intrada.data.loader import batches_of, training_stream
from intrada.data.rare_classes import RareClassDataset
from intrada.data.target_stream import target_stream
from intrada.data.train_batches import TrainBatch, TrainData
from intrada.methods import method


def train_batches(
    block: Training, data: TrainData, seed: int, start: int, rank: Rank
) -> Iterator[TrainBatch]:
    """Yield the batches of the iterations from `start`; None for those that the method does not use."""
    stop = block.iterations

    def stream(
        index: pd.DataFrame, domain: str, name: str, start: int = start, stop: int = stop
    ) -> Iterator[Batch]:
        augment = block.augment_for_target if name == "target" else block.augment
        settings, rare = block.self_training, block.rare_class_sampling
        if name == "labelled" and rare:
            data_set = RareClassDataset(index, seed, name, augment, stop * block.batch_size, rare)
            batches = batches_of(data_set, block.batch_size, start, stop, rank)
        elif name == "target" and settings:
            batches = target_stream(
                index, seed, name, augment, block.batch_size, start, stop, settings.margins, data.first, rank
            )
        else:
            batches = training_stream(index, seed, name, augment, block.batch_size, start, stop, rank)
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
