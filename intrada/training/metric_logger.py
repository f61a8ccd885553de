"""What a training run shows of itself: rows of losses.csv, and TensorBoard curves and pictures."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from intrada.core.config.classes import ClassSet


@contextmanager
def errors_once() -> Iterator[None]:
    """TensorBoard's thread prints the error of a full disk, and raises it in ours again: once is enough."""
    before = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        if not issubclass(error.exc_type, OSError):
            before(error)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


class MetricLogger:
    """Means of the losses over `every` iterations; `rows` is what losses.csv will hold."""

    def __init__(self, folder: Path, every: int, classes: ClassSet) -> None:
        self.folder, self.every = folder, every
        self.palette = np.array(classes.palette(), np.uint8).reshape(-1, 3)
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._start = 0

    def state(self) -> dict[str, Any]:
        """What `restore` needs, the means under way included."""
        return {"rows": list(self.rows), "sums": dict(self._sums), "count": self._count}

    def restore(self, state: dict[str, Any], iteration: int) -> None:
        """Go on behind `done` iterations; later points of an interrupted run are purged."""
        self.rows, self._sums, self._count = list(state["rows"]), dict(state["sums"]), state["count"]
        self._start = iteration

    def __enter__(self) -> MetricLogger:
        purge = self._start + 1 if self._start else None
        self.writer = SummaryWriter(str(self.folder), purge_step=purge)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    def add(self, iteration: int, losses: Mapping[str, Tensor], rates: Mapping[str, float]) -> None:
        """Add one iteration; every `every`-th writes a row with the means since the last."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.double()
        self._count += 1
        if iteration % self.every:
            return
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        self.rows.append({"iteration": iteration, **means, **rates})
        for name, mean in {**means, **rates}.items():
            self.writer.add_scalar(name, mean, iteration)
        self._sums, self._count = {}, 0

    def picture(self, iteration: int, image: Tensor, label: Tensor, entropy: Tensor) -> None:
        """Show one image with its prediction.

        image: (3, H, W) uint8 in the order BGR; label: (H, W) class numbers; entropy: (H, W) in 0..1, where
        a value that is not a number is shown as 0.
        """
        colours = self.palette[label.cpu().numpy()]
        self.writer.add_image("image", image.flip(0), iteration)
        self.writer.add_image("prediction", colours, iteration, dataformats="HWC")
        self.writer.add_image("entropy", entropy.nan_to_num()[None], iteration)

    def frame(self) -> pd.DataFrame:
        """All rows: iteration, mean losses, learning rates; the column of iterations alone without a row."""
        return pd.DataFrame(self.rows or {"iteration": []})
