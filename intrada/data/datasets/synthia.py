"""SYNTHIA, the part RAND_CITYSCAPES (Ros et al., CVPR 2016): RGB/*.png with GT/LABELS/*.png.

A label is a PNG with 16 bits per channel, the class in the first and the instance in the second channel. The
8-bit images in GT/COLOR are for visualisation; their colours are not reliable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from intrada.core.config.classes import ClassSet
from intrada.core.files import open_image, unreadable
from intrada.data.datasets.base import Dataset, Layout, exclude_of, options_of
from intrada.data.datasets.coding import id_coding

# SYNTHIA's id -> Cityscapes name. For class sets without terrain, truck and train, this is the mapping of
# AdvEnt (CVPR 2019) and its successors.
NAMES = {
    1: "sky",
    2: "building",
    3: "road",
    4: "sidewalk",
    5: "fence",
    6: "vegetation",
    7: "pole",
    8: "car",
    9: "traffic sign",
    10: "person",
    11: "bicycle",
    12: "motorcycle",
    13: "parking",
    15: "traffic light",
    16: "terrain",
    17: "rider",
    18: "truck",
    19: "bus",
    20: "train",
    21: "wall",
}
VOID, ROAD_WORK, LANE_MARKING = 0, 14, 22  # as in the published mapping, lane markings are ignored


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Return SYNTHIA-RAND-CITYSCAPES below `root`. options: exclude, patterns of files that are left out."""
    chosen = options_of("synthia", options, {"exclude": []})
    fix = "check that these are the labels of SYNTHIA-RAND-CITYSCAPES; its other parts differ"
    coding = id_coding(classes, NAMES, [VOID, ROAD_WORK, LANE_MARKING], fix)
    exclude = exclude_of("synthia", chosen["exclude"])
    layout = Layout(root, "RGB/*.png", "GT/LABELS/{stem}.png", exclude=exclude, no_labels="dataset: folders")
    return Dataset(layout, split, classes, lambda path: coding.decode(first_channel(path), path))


def first_channel(path: Path) -> np.ndarray:
    """Return the first (red) or only channel of a PNG with 16 bits per channel, (H, W) uint16.

    Raises UserError for any other file. It uses OpenCV, because Pillow reduces 16-bit colours to 8 bits.
    """
    allowed = "a PNG with 16 bits a channel, the class in the first: a file of GT/LABELS"
    with open_image(path, allowed, sixteen_bits=True) as image:
        image.verify()  # some versions of OpenCV decode a truncated file without an error
    pixels: np.ndarray | None = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise unreadable(path, "pixels that OpenCV cannot decode", allowed)
    return pixels if pixels.ndim == 2 else pixels[:, :, 2]
