"""Choose the images that a person should label next: uncertain ones that differ from each other.

Only the half of the images with the highest entropy is considered. It is divided into bands of equal numbers
of images, so that the choice is spread over the ranking: the most entropic images alone are often of one
place. The most entropic image of each band is chosen which is no near-duplicate of one chosen before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intrada.core import files

HASH_SIDE = 8  # a fingerprint has 8 x 8 bits
NEAR = 10  # images with at most so many different bits of 64 are near-duplicates
Fingerprint = NDArray[np.bool_]


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """Return the difference hash of an image (H, W, 3) uint8 BGR: (64,) bool.

    Each bit says whether a pixel of a 9 x 8 thumbnail is darker than its right neighbour. In CamVid's videos,
    19 % of the frames one second apart differ in at most NEAR bits (the car stands), and 0.03 % of the frames
    at least 30 seconds apart.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits: Fingerprint = (np.diff(small, axis=1) > 0).ravel()
    return bits


def fingerprint_of_file(path: str) -> Fingerprint:
    """Return the fingerprint of the image file at `path`; UserError if it cannot be read."""
    return fingerprint(files.read_image(Path(path)))


def suggest(ranked: Sequence[str], count: int, fingerprint_of: Callable[[str], Fingerprint]) -> list[str]:
    """Return up to `count` of the images, the most entropic first.

    ranked: ids in descending order of entropy. fingerprint_of: called only for images that may be chosen, so
    that few images are read. Fewer images are returned if the rest are near-duplicates.
    """
    candidates = list(ranked[: max(count, (len(ranked) + 1) // 2)])
    chosen: dict[str, Fingerprint] = {}
    refused: set[str] = set()

    def add_first(names: Sequence[str]) -> None:
        for name in names:
            if name in chosen or name in refused:
                continue
            bits = fingerprint_of(name)
            if all(int((bits != other).sum()) > NEAR for other in chosen.values()):
                chosen[name] = bits
                return
            refused.add(name)

    bands = np.array_split(np.arange(len(candidates)), min(count, len(candidates)) or 1)
    for band in bands:
        add_first([candidates[number] for number in band])
    while len(chosen) < count and (rest := [c for c in candidates if c not in chosen and c not in refused]):
        add_first(rest)
    return [name for name in candidates if name in chosen]


def table(
    scores: pd.DataFrame, index: pd.DataFrame, count: int, fingerprint_of: Callable[[str], Fingerprint]
) -> pd.DataFrame:
    """Return a row per suggested image, the most entropic first: image, path, entropy, rank.

    scores: scores.csv; index: index.csv of the same images. fingerprint_of: the fingerprint of the image at a
    path. rank: 1 for the image with the highest entropy of all.
    """
    ranked = scores.sort_values("entropy", ascending=False, kind="stable").reset_index(drop=True)
    paths = index.set_index("id")["image"]
    chosen = suggest([*ranked["image"]], count, lambda name: fingerprint_of(paths[name]))
    rows = ranked.assign(rank=ranked.index + 1).set_index("image").loc[chosen].reset_index()
    rows.insert(1, "path", [paths[name] for name in chosen])
    return rows[["image", "path", "entropy", "rank"]]
