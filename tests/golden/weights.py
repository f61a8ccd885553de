"""Deterministic weights by parameter name, the recipe that the golden values beside this file were made with.

It needs nothing but numpy's legacy RandomState, whose stream is frozen, and zlib. Values are drawn in
float64 and rounded to float32.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch


def value(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The tensor called `name`: its kind, and with it the distribution, follows from name and shape."""
    rng = np.random.RandomState((zlib.crc32(name.encode("ascii")) + seed) & 0xFFFFFFFF)
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if len(shape) == 4:
        fan_in = shape[1] * shape[2] * shape[3]
        is_head = name.startswith(("layer5.", "layer6."))
        drawn = rng.standard_normal(shape) * (0.003 if is_head else np.sqrt(2.0 / fan_in))
    elif leaf in ("running_mean", "bias"):
        drawn = 0.1 * rng.standard_normal(shape)
    elif leaf == "running_var":
        drawn = rng.uniform(0.5, 1.5, shape)
    else:  # batch norm's weight; small on the way out of a residual branch
        drawn = rng.uniform(0.2, 0.4, shape) if ".bn3." in name else rng.uniform(0.5, 1.5, shape)
    return drawn.astype(np.float32)


@torch.no_grad()
def fill_deterministic(state: dict[str, torch.Tensor], seed: int, overlay: Path | None = None) -> None:
    """Fill a state dict in place; `overlay` (.npz) then replaces tensors, or centre taps (`NAME@center`)."""
    for name, tensor in state.items():
        tensor.copy_(torch.from_numpy(value(name, tuple(tensor.shape), seed)))
    if overlay is not None:
        with np.load(overlay) as arrays:
            for key in arrays.files:
                name, _, part = key.partition("@")
                tensor = state[name][:, :, 1, 1] if part == "center" else state[name]
                tensor.copy_(torch.from_numpy(arrays[key].astype(np.float32)))
