"""The datasets of a training run, and the batches of one iteration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat, starmap
from typing import Literal, NamedTuple

import pandas as pd
import torch

from intrada.core.config.classes import labelled
from intrada.core.distributed.process_group import ProcessGroup
from intrada.data.batch import Batch, MicroBatchWeight, StudentView
from intrada.data.loader import refuse_empty


@dataclass(frozen=True)
class TrainData:
    """The indexes of a training run: frames with the columns of index.csv.

    source: images with labels or pseudo-labels, domain "source" for the discriminators. Without any label
    only the discriminators use them. target: images whose labels are not read. supervised, target_labelled:
    labelled images that no discriminator sees; with both, an iteration has a batch of one of them, each as
    often as its weight says. source_domain: the index whose images come from the source domain.
    partners: labelled images of the target domain, of which a teacher pastes pixels on those of `target`.
    first: for images of `target` in the order of a ranking, how many of them are drawn at the start of the
    run; their number grows to all at its end. None: all of them from the start.
    """

    source: pd.DataFrame
    target: pd.DataFrame
    supervised: pd.DataFrame | None = None
    source_domain: Literal["source", "supervised"] = "source"
    target_labelled: pd.DataFrame | None = None
    partners: pd.DataFrame | None = None
    first: int | None = None

    @property
    def has_labels(self) -> bool:
        """Whether `source` has any label."""
        return bool((self.source["label"] != "").any())

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the target images, or of the source images if there is no target.

        All images of a domain have one size. UserError if there is no image at all.
        """
        index = self.source if self.target.empty else self.target
        refuse_empty(index, "labelled")
        first = index.iloc[0]
        return int(first.width), int(first.height)


class TrainBatch(NamedTuple):
    """The batches of one iteration; None for a batch that the training does not use."""

    source: Batch
    target: Batch | None
    supervised: Batch | None
    partner: Batch | None = None

    def to(self, device: torch.device) -> TrainBatch:
        """Return the same batches on `device`."""
        others = (batch.to(device) if batch else None for batch in self[1:])
        return TrainBatch(self.source.to(device), *others)

    def pinned(self) -> TrainBatch:
        """Return the same batches in pinned memory; see `Batch.pinned`."""
        others = (batch.pinned() if batch else None for batch in self[1:])
        return TrainBatch(self.source.pinned(), *others)

    def micro_batches(self, count: int, classes: int) -> list[TrainBatch]:
        """Split into `count` micro-batches of equally many images, each with its weight, without partners."""
        target, supervised = (
            batch.micro_batches(count, classes) if batch else repeat(None, count)
            for batch in (self.target, self.supervised)
        )
        source = self.source.micro_batches(count, classes)
        return list(starmap(TrainBatch, zip(source, target, supervised, strict=True)))

    def weighted(self, process_group: ProcessGroup, classes: int) -> TrainBatch:
        """Return the batches with their weights in the global batch of all processes. Collective."""

        def weighted(batch: Batch | None) -> Batch | None:
            if batch is None:
                return None
            pixels = process_group.fraction(labelled(batch.label, classes))
            view = batch.view
            if view and (mixed := weighted(view.mixed)):
                view = StudentView(mixed, weighted(view.masked), view.confident)
            return batch._replace(
                weight=MicroBatchWeight(1 / process_group.rank.world_size, pixels), view=view
            )

        if not process_group.is_distributed:
            return self
        return TrainBatch(*map(weighted, self))  # type: ignore[arg-type]

    def ids(self) -> list[str]:
        """Return the image ids of all batches."""
        return [name for batch in (self.source, self.target, self.supervised) if batch for name in batch.ids]
