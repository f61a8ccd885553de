"""Logs of a training run: the rows of losses.csv, and TensorBoard scalars and images."""

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

from intrada.core.config.classes import ClassSet
from intrada.core.plain_text import logger

_LOG = logger(__name__)


@contextmanager
def suppress_thread_os_errors() -> Iterator[None]:
    """Suppress the tracebacks of OSErrors in other threads while the block runs.

    When the disk is full, TensorBoard's writer thread fails with a traceback, and the writer raises the same
    error again in the main thread, where it is reported.
    """
    original = threading.excepthook

    def hook(error: threading.ExceptHookArgs) -> None:
        if not issubclass(error.exc_type, OSError):
            original(error)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = original


class MetricLogger:
    """Means of the losses over every `every` iterations.

    folder: for TensorBoard's event files. rows: the rows of losses.csv. Use it as a context manager, which
    opens and closes the event file. Without the package tensorboard there is none, and a note says so.
    """

    def __init__(self, folder: Path, every: int, classes: ClassSet) -> None:
        self.folder, self.every = folder, every
        self.palette = np.array(classes.palette(), np.uint8).reshape(-1, 3)
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._start = 0

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, including the sums of the unfinished row."""
        return {"rows": list(self.rows), "sums": dict(self._sums), "count": self._count}

    def restore(self, state: dict[str, Any], iteration: int) -> None:
        """Continue after `iteration` iterations. Later points in TensorBoard are purged on entering."""
        self.rows, self._sums, self._count = list(state["rows"]), dict(state["sums"]), state["count"]
        self._start = iteration

    def __enter__(self) -> MetricLogger:
        purge = self._start + 1 if self._start else None
        self._writer = _open_events(self.folder, purge)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, iteration: int, losses: Mapping[str, Tensor], rates: Mapping[str, float]) -> None:
        """Add the losses (scalars) of one iteration; every `every`-th call adds a row of means.

        The row holds the means since the previous row, and the learning rates `rates` of this iteration.
        """
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.double()
        self._count += 1
        if iteration % self.every:
            return
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        self.rows.append({"iteration": iteration, **means, **rates})
        if self._writer is not None:
            for name, mean in {**means, **rates}.items():
                self._writer.add_scalar(name, mean, iteration)
        self._sums, self._count = {}, 0

    def add_images(self, iteration: int, image: Tensor, label: Tensor, entropy: Tensor) -> None:
        """Add an image, its prediction in the colours of the classes, and its entropy to TensorBoard.

        image: (3, H, W) uint8 BGR; label: (H, W) class indices; entropy: (H, W) in 0..1, nan is shown as 0.
        """
        if self._writer is not None:
            colours = self.palette[label.cpu().numpy()]
            self._writer.add_image("image", image.flip(0), iteration)
            self._writer.add_image("prediction", colours, iteration, dataformats="HWC")
            self._writer.add_image("entropy", entropy.nan_to_num()[None], iteration)

    def to_frame(self) -> pd.DataFrame:
        """Return the rows: iteration, mean losses, learning rates. Without rows it has only `iteration`."""
        return pd.DataFrame(self.rows or {"iteration": []})


def _open_events(folder: Path, purge: int | None) -> Any:
    """Return TensorBoard's writer of an event file in `folder`; None, with a note, if it is not installed.

    purge: the first iteration of which TensorBoard forgets earlier points; None: it forgets none.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # here, since it takes a second to import
    except ModuleNotFoundError as error:
        command = "pip install 'intrada[tensorboard]'"
        _LOG.info("no TensorBoard files, as %s is not installed; to get them: %s", error.name, command)
        return None
    return SummaryWriter(str(folder), purge_step=purge)
