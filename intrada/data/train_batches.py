"""Who plays in a training, and the batches of one iteration by their part in the game."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat, starmap
from typing import Literal, NamedTuple

import pandas as pd
import torch

from intrada.core.config.classes import labelled
from intrada.core.distributed.process_group import World
from intrada.data.loader import Batch, Share


@dataclass(frozen=True)
class Domains:
    """Who plays; frames with the columns of index.csv.

    labelled: images with (pseudo-)labels, called source by the discriminators (without any label: only
    they look at them); target: images without. extra: labelled images that no discriminator sees.
    source: which of the three are images of the source domain.
    """

    labelled: pd.DataFrame
    target: pd.DataFrame
    extra: pd.DataFrame | None = None
    source: Literal["labelled", "extra"] = "labelled"

    @property
    def supervised(self) -> bool:
        """Whether `labelled` has any label."""
        return bool((self.labelled["label"] != "").any())


class Step(NamedTuple):
    """The batches of one iteration, by their part in the game; None for one that is not asked for."""

    labelled: Batch
    target: Batch | None
    extra: Batch | None

    def to(self, device: torch.device) -> Step:
        """The same batches on `device`."""
        target, extra = (batch.to(device) if batch else None for batch in (self.target, self.extra))
        return Step(self.labelled.to(device), target, extra)

    def parts(self, count: int, classes: int) -> list[Step]:
        """The same batches in `count` steps of equally many images, each with its share; one is the whole."""
        target, extra = (
            batch.parts(count, classes) if batch else repeat(None, count)
            for batch in (self.target, self.extra)
        )
        return list(starmap(Step, zip(self.labelled.parts(count, classes), target, extra, strict=True)))

    def shared(self, world: World, classes: int) -> Step:
        """The same batches with what they count in those that all processes of `world` hold together."""

        def shared(batch: Batch | None) -> Batch | None:
            if batch is None:
                return None
            pixels = world.share(labelled(batch.label, classes))
            return batch._replace(share=Share(1 / world.part.total, pixels))

        return self if world.alone else Step(*map(shared, self))  # type: ignore[arg-type]

    def ids(self) -> list[str]:
        """The images of all of them."""
        return [name for batch in (self.labelled, self.target, self.extra) if batch for name in batch.ids]
