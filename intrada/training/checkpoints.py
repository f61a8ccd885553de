"""Checkpoints of a training run: written whole or not at all, found again by fingerprint.

runs/<stage>/<fingerprint>/checkpoint_00000200.pt: a run continues only what began with its own params,
inputs and code. Folders of other fingerprints are left alone.
"""

from __future__ import annotations

import io
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from intrada.core import files

State = dict[str, Any]


class Checkpoints:
    """The newest `kept` checkpoints in `folder`, due every `iterations` or every `minutes`."""

    def __init__(self, folder: Path, iterations: int, minutes: float, kept: int) -> None:
        self.folder, self.iterations, self.seconds, self.kept = folder, iterations, minutes * 60, kept
        self._last = time.monotonic()

    def should_save(self, iteration: int) -> bool:
        """Whether to write one now that `done` iterations are complete."""
        return iteration % self.iterations == 0 or time.monotonic() - self._last > self.seconds

    def save(self, iteration: int, state: State) -> None:
        """Write the state after `done` iterations and drop what is older than the newest `kept`."""
        newest = self.folder / f"checkpoint_{iteration:08d}.pt"
        data = io.BytesIO()  # to a file, torch would hide what a full disk says
        torch.save({"iteration": iteration, **state}, data)
        files.write_bytes(newest, data.getvalue())
        # A newer file is a torn one that `load` passed over: it must not push out a sound one.
        for old in [path for path in self._found() if path <= newest][: -self.kept]:
            old.unlink(missing_ok=True)
        self._last = time.monotonic()

    def load(self) -> State | None:
        """The newest state that can be read, None if there is none; a torn one is named and passed over."""
        for path in reversed(self._found()):
            try:
                state = _read(path)
            except Exception as error:  # a damaged file makes torch raise almost anything
                print(f"warning: {path} cannot be read ({error}); taking the one before", file=sys.stderr)
            else:
                print(f"going on from {path}", file=sys.stderr)
                return state
        self._name_others()
        return None

    def _found(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint_*.pt"))

    def _name_others(self) -> None:
        others = [path for path in self.folder.parent.glob("*/checkpoint_*.pt") if path.parent != self.folder]
        for folder in sorted({path.parent for path in others}):
            print(f"{folder} holds checkpoints of other params, inputs or code: left alone", file=sys.stderr)


def _read(path: Path) -> State:
    with zipfile.ZipFile(path) as archive:  # torch writes checksums, and does not look at them
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
    state: State = torch.load(path, weights_only=True, map_location="cpu")
    return state
