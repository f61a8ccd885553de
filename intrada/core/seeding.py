"""One seed, many independent streams, each with a name.

A random number is a pure function of (seed, name, position): a call added in one place shifts no
other, workers need no state, and a resumed run needs only its iteration.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called `names` under the run's `seed`."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """NumPy's generator at the start of the stream called `names`."""
    return np.random.default_rng(derive(seed, *names))


def permutation(seed: int, length: int, *names: str | int) -> np.ndarray:
    """The numbers 0..length-1, int64, in the order of the stream called `names`."""
    return stream(seed, *names).permutation(length)
