"""The predicted images, with their label maps, that a person is to correct in an annotation tool."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from intrada.core import files
from intrada.inference.deployment import frames, video
from intrada.inference.deployment.sources import Source, Sources

IMAGES = "images.zip"


class Picture(NamedTuple):
    """An image and its predicted label map.

    name: of its results, without suffix; file: the same with a suffix; content: the PNG or JPEG file; label:
    (H, W) uint8, class indices.
    """

    name: str
    file: str
    content: bytes
    label: NDArray[np.uint8]


def choose(table: Path, hardest: int | None) -> list[str]:
    """Return the images of predictions.csv, in its order. hardest: only so many of the highest entropy."""
    rows = files.read_csv(table, ["image", "entropy"])
    if hardest is not None and len(rows) > hardest:
        rows = rows.nlargest(hardest, "entropy", keep="first").sort_index()
    return [*rows["image"]]


def read(names: Collection[str], sources: Sources, every: int, folder: Path) -> Iterator[Picture]:
    """Yield the images and frames called `names`, with the label maps in `folder`/prediction.

    The file of an image is not changed. Videos are read again, up to the last frame that is needed; frames
    become PNGs. every: as for the prediction.
    """
    wanted = set(names)
    for source in sources.images:
        if source.name in wanted:
            yield _picture(source.name, source.path.suffix.lower(), _content(source.path), folder)
    for source in sources.videos:
        yield from _frames(source, wanted, every, folder)


def _frames(source: Source, wanted: Collection[str], every: int, folder: Path) -> Iterator[Picture]:
    missing = {name for name in wanted if name.startswith(f"{source.name}/")}
    if not missing:
        return
    for number, image in video.read(source.path, every):
        name = frames.name_of(source, number)
        if name in missing:
            _, data = cv2.imencode(".png", image)
            yield _picture(name, ".png", data.tobytes(), folder)
            missing.remove(name)
            if not missing:
                return


def _picture(name: str, suffix: str, content: bytes, folder: Path) -> Picture:
    label = files.read_label(folder / "prediction" / f"{name}.png")
    return Picture(name, name + suffix, content, label)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise files.unreadable(path, error, "the image that was predicted") from error
