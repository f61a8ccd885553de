"""The hashes of a stage's images at its second start: from the cache, against reading every image again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import Row
from benchmarks.streets import temporary_folder
from intrada.core import files, hash_cache, hashing
from intrada.core.config.load import load

PRESET = Path("presets/gta5_to_cityscapes.yaml")
IMAGES, TIMES = 200, 5


def measure() -> Row:
    """CPU seconds for images of the size and format that preprocess leaves; the smallest of several tries."""
    params = load(PRESET)
    width, height = params.preprocess.source.size
    random = np.random.default_rng(1)
    with temporary_folder():
        for number in range(IMAGES):
            image = random.integers(0, 256, (height, width, 3), np.uint8)
            files.write_image(Path(f"images/{number:05d}.png"), image, params.preprocess.source.storage)
        time.sleep(2 * hash_cache.MIN_AGE_NS / 1e9)  # younger files are not kept in the cache
        assert _cached() == _read()
        ours = min(_cpu_seconds(_cached) for _ in range(TIMES))
        baseline = min(_cpu_seconds(_read) for _ in range(TIMES))
    return Row("second_start", ours, baseline, baseline / ours, "s", "at least 20")


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _cached() -> str:
    with hash_cache.opened() as file_hash:
        return hashing.fingerprint(Path("images"), file_hash)


def _read() -> str:
    return hashing.fingerprint(Path("images"))
