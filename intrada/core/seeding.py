"""Independent random streams, each derived from the run's seed and a name.

A random number is a pure function of (seed, name, position). So a new random call changes no other number,
data-loading threads need no state, and a resumed run needs only its iteration.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """Return the seed of the stream called `names`, 0..2**63-1; `seed` is the run's."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return NumPy's generator at the start of the stream called `names`."""
    return np.random.default_rng(derive(seed, *names))


def permutation(seed: int, length: int, *names: str | int) -> np.ndarray:
    """Return a random permutation of 0..length-1, (length,) int64, from the stream called `names`."""
    return stream(seed, *names).permutation(length)
