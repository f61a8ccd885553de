"""Checkpoints of a training run, written atomically.

The path is runs/<stage>/<fingerprint>/checkpoint_00000200.pt. The fingerprint is a hash of the params, the
inputs and the code of the run, so that a run resumes only from its own checkpoints. Folders of other
fingerprints are not changed.
"""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from intrada.core import files
from intrada.core.plain_text import logger

log = logger(__name__)

State = dict[str, Any]


class Checkpoints:
    """Checkpoints in `folder`, one every `iterations` iterations or `minutes`; the newest `kept` are kept."""

    def __init__(self, folder: Path, iterations: int, minutes: float, kept: int) -> None:
        self.folder, self.iterations, self.seconds, self.kept = folder, iterations, minutes * 60, kept
        self._last = time.monotonic()

    def should_save(self, iteration: int) -> bool:
        """Return whether to save a checkpoint after `iteration` finished iterations."""
        return iteration % self.iterations == 0 or time.monotonic() - self._last > self.seconds

    def save(self, iteration: int, state: State) -> None:
        """Write the state after `iteration` iterations; delete all checkpoints but the newest `kept`.

        state: what `Trainer.state` returns. Raises UserError if the file cannot be written.
        """
        newest = self.folder / f"checkpoint_{iteration:08d}.pt"
        data = io.BytesIO()  # torch.save to a file would hide the error message of a full disk
        torch.save({"iteration": iteration, **state}, data)
        files.write_bytes(newest, data.getvalue())
        # Newer files are corrupt (load() skipped them); do not count them towards `kept`.
        for old in [path for path in self._paths() if path <= newest][: -self.kept]:
            old.unlink(missing_ok=True)
        self._last = time.monotonic()

    def load(self) -> State | None:
        """Return the newest readable state, or None. Corrupt files are skipped with a warning on stderr."""
        for path in reversed(self._paths()):
            try:
                state = _read(path)
            except Exception as error:  # torch raises many types of error for a corrupt file
                log.warning(f"warning: {path} cannot be read ({error}); trying the previous one")
            else:
                log.info(f"resuming from {path}")
                return state
        self._report_other_runs()
        return None

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint_*.pt"))

    def _report_other_runs(self) -> None:
        others = [path for path in self.folder.parent.glob("*/checkpoint_*.pt") if path.parent != self.folder]
        for folder in sorted({path.parent for path in others}):
            log.info(f"{folder} holds checkpoints of other params, inputs or code: not used")


def _read(path: Path) -> State:
    with zipfile.ZipFile(path) as archive:  # torch.load does not verify the checksums that torch.save writes
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    state: State = torch.load(path, weights_only=True, map_location="cpu")
    return state
