"""The toy city: generated streets in the folder layouts of GTA5 (source) and Cityscapes (target).

A CPU can train on it in minutes, and it shows the effects of the paper: the target differs from the source in
palette, texture and camera, and about two fifths of its images are much harder, because of night or fog.
Labels are Cityscapes ids. The same arguments give the same bytes. An image depends only on (seed, split,
number), not on the number of images or workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd

from intrada.core import files, seeding
from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.data.datasets.toycity_canvas import Bytes
from intrada.data.datasets.toycity_look import SOURCE, TARGET, Weather
from intrada.data.datasets.toycity_scene import draw

MILD, SEVERE = (0.0, 0.4), (0.6, 1.0)  # the two ranges of severity; no value lies between them
MILD_SHARE, NIGHT_SHARE = 0.62, 0.5
# Cities of the official splits, so that the name of a file determines its split, as in the original.
CITIES = {"train": ("aachen", "bochum", "bremen", "cologne"), "val": ("frankfurt", "lindau", "munster")}
PALETTE = [value for key in range(max(CITYSCAPES_IDS) + 1) for value in CITYSCAPES_IDS[key].color]

Job = TypeVar("Job")
Row = dict[str, str | float]
Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]  # items, their number, their unit -> the items


def _silent(items: Iterable[Any], total: int, unit: str) -> Iterable[Any]:
    return items


def write_source(
    root: Path, seed: int, images: int, size: Sequence[int], workers: int = 1, progress: Progress = _silent
) -> pd.DataFrame:
    """Draw clear days: images/00001.png (RGB) and labels/00001.png (ids, with Cityscapes' palette).

    root: a folder, created if it does not exist; size: (width, height) in pixels; workers: number of threads.
    Returns the table of `write_target`, with severity 0 and condition "clear".
    """

    def write(number: int) -> Row:
        image, label = draw(_random(seed, "source", number), SOURCE, Weather(), (size[0], size[1]))
        name = f"{number + 1:05d}.png"
        _write_png(root / "images" / name, image)
        files.write_label(root / "labels" / name, label, PALETTE)
        return {"image": name, "split": "all", "severity": 0.0, "condition": "clear"}

    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return _table(write, range(images), workers, progress)


def write_target(
    root: Path,
    seed: int,
    train: int,
    val: int,
    size: Sequence[int],
    workers: int = 1,
    progress: Progress = _silent,
) -> pd.DataFrame:
    """Draw leftImg8bit/SPLIT/CITY/..._leftImg8bit.png and gtFine/SPLIT/CITY/..._gtFine_labelIds.png (grey).

    train, val: the number of images of each split; the others as in `write_source`. Returns the true
    difficulty of each image, for diagnosis only: a frame with the columns image (file name), split, severity
    (0..1), condition ("night" or "fog").
    """

    def write(job: tuple[str, int]) -> Row:
        split, number = job
        random = _random(seed, split, number)
        weather = _weather(random)
        image, label = draw(random, TARGET, weather, (size[0], size[1]))
        sequence, city_index = divmod(number, len(CITIES[split]))
        city = CITIES[split][city_index]
        stem = f"{city}_{sequence:06d}_000019"
        _write_png(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", image)
        _write_png(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", label)
        severity, condition = round(weather.severity, 4), weather.condition
        return {
            "image": f"{stem}_leftImg8bit.png",
            "split": split,
            "severity": severity,
            "condition": condition,
        }

    jobs = [("train", number) for number in range(train)] + [("val", number) for number in range(val)]
    for split, cities in CITIES.items():
        for city in cities:
            (root / "leftImg8bit" / split / city).mkdir(parents=True, exist_ok=True)
            (root / "gtFine" / split / city).mkdir(parents=True, exist_ok=True)
    return _table(write, jobs, workers, progress)


def _random(seed: int, split: str, number: int) -> np.random.Generator:
    return seeding.stream(seed, "toycity", split, number)


def _weather(random: np.random.Generator) -> Weather:
    low, high = MILD if random.random() < MILD_SHARE else SEVERE
    severity = float(random.uniform(low, high))
    return Weather(severity, "night" if random.random() < NIGHT_SHARE else "fog")


def _table(
    write: Callable[[Job], Row], jobs: Sequence[Job], workers: int, progress: Progress
) -> pd.DataFrame:
    with ThreadPoolExecutor(workers) as pool:
        return pd.DataFrame(list(progress(pool.map(write, jobs), len(jobs), "image")))


def _write_png(path: Path, image: Bytes) -> None:
    """Write an image, (H, W, 3) BGR or (H, W) grey. Not atomic, because the whole folder is."""
    _, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    path.write_bytes(data.tobytes())
