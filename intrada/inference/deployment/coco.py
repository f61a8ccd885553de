"""Write label maps as a COCO file: each connected region of a class is one annotation.

Regions are connected through sides and corners of pixels. All of them are written, also those of one pixel,
so that the file holds the label maps without loss. Regions that may hold several objects are run lengths with
`iscrowd: 1`, as COCO's description of the format (cocodataset.org/#format-data) defines them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.config.classes import ClassSet
from intrada.inference.deployment.pictures import Picture

FILE = "coco.json"


@contextmanager
def writer(folder: Path, classes: ClassSet) -> Iterator[Callable[[Picture], None]]:
    """Yield a function that adds an image to coco.json in `folder`, which is written if the block succeeds.

    The annotations are written one by one; only the list of the images is in memory.
    """
    images, count = list[dict[str, Any]](), 0
    with (
        files.atomic_file(folder / FILE) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as handle,
    ):

        def add(picture: Picture) -> None:
            nonlocal count
            height, width = picture.label.shape
            images.append(
                {"id": len(images) + 1, "file_name": picture.file, "width": width, "height": height}
            )
            for annotation in regions(picture.label):
                count += 1
                row = {"id": count, "image_id": len(images), **annotation}
                handle.write(("," if count > 1 else "") + "\n" + json.dumps(row, separators=(",", ":")))

        handle.write('{"annotations": [')
        yield add
        rest = {
            "images": images,
            "categories": [
                {"id": number, "name": name, "supercategory": ""}
                for number, name in enumerate(classes.names, 1)
            ],
            "info": {"description": "predicted label maps"},
            "licenses": [],
        }
        handle.write("\n],\n" + json.dumps(rest)[1:] + "\n")


def regions(label: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Return the annotation of each region of a label map (H, W), without `id` and `image_id`.

    They are sorted by class and position. category_id: class index + 1; segmentation: run lengths of the
    whole image; area, bbox (left, top, width, height): pixels.
    """
    numbers, rows = _numbered(label)
    size = [*map(int, label.shape)]
    for row, counts in zip(rows, run_lengths(numbers), strict=True):
        row["segmentation"] = {"size": size, "counts": counts}
    # OpenCV promises no order of regions; counts[0] is the position of the first pixel, column by column.
    return sorted(rows, key=lambda row: (row["category_id"], row["segmentation"]["counts"][0]))


def _numbered(label: NDArray[np.uint8]) -> tuple[NDArray[np.int32], list[dict[str, Any]]]:
    """Return the region of each pixel, (H, W) from 0, and the annotation of each region without its shape."""
    numbers = np.zeros(label.shape, np.int32)
    rows = list[dict[str, Any]]()
    for index in np.unique(label):
        inside = (label == index).astype(np.uint8)
        _, parts, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        mask = parts > 0  # 0 is the rest of the image
        numbers[mask] = parts[mask] + len(rows) - 1
        for left, top, width, height, area in stats[1:].tolist():
            box = [left, top, width, height]
            rows.append({"category_id": int(index) + 1, "area": area, "bbox": box, "iscrowd": 1})
    return numbers, rows


def run_lengths(numbers: NDArray[np.int32]) -> list[list[int]]:
    """Return COCO's run lengths of each region: numbers of pixels outside and inside in turn, from outside.

    numbers: (H, W), the region 0, 1, ... of each pixel, each at least once. The pixels are counted column by
    column, from the top left; the lengths add up to H * W.
    """
    flat = numbers.ravel(order="F")
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    ends = np.append(starts[1:], flat.size)
    owner = flat[starts]
    by_region = np.argsort(owner, kind="stable")
    cuts = np.flatnonzero(np.diff(owner[by_region])) + 1
    lengths = list[list[int]]()
    for runs in np.split(by_region, cuts):
        edges = np.column_stack([starts[runs], ends[runs]]).ravel()
        counts = np.diff(edges, prepend=0).tolist()
        rest = flat.size - int(edges[-1])
        lengths.append([*counts, rest] if rest else counts)
    return lengths
