"""Write label maps in the format "Segmentation mask 1.1", in which CVAT also exports the corrected ones.

A ZIP archive with labelmap.txt (class and colour), ImageSets/Segmentation/default.txt (names of the images)
and SegmentationClass/NAME.png (the class colours). CVAT makes one mask of each class of an image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.core.config.classes import ClassSet
from intrada.core.errors import UserError
from intrada.inference.deployment.archive import archive
from intrada.inference.deployment.pictures import IMAGES, Picture

ANNOTATIONS, LABELS, DATASET = "cvat.zip", "cvat_labels.json", "cvat_dataset.yaml"
UNLABELLED = "background"  # CVAT's name for pixels without label; they are black unless a class has this name
_BLACK = (0, 0, 0)
_HEAD = """\
# The corrected labels as a block of `preprocess` in params.yaml. Unpack {images} in ROOT/images,
# and the archive that CVAT exports in ROOT. More: docs/predict.md
"""


def check(classes: ClassSet, names: Sequence[str]) -> None:
    """Raise UserError for classes or names of images (without suffix) that CVAT's text files cannot hold."""
    for entry in classes.classes:
        found = ""
        if ":" in entry.name or entry.name.startswith("#"):
            found = "a name that labelmap.txt cannot hold"
        elif entry.color == _BLACK and entry.name != UNLABELLED:
            found = "black, which is the colour of pixels without label in CVAT"
        if found:
            allowed = "names without `:` and a leading #, colours other than black"
            fix = "use --format coco, or another name or colour for this class in the next training"
            raise UserError(f"--format cvat, class {entry.name}", found, allowed, fix)
    for name in names:
        if name != name.strip() or name.startswith("#"):
            allowed = "names without a leading # and without spaces around them"
            raise UserError(f"--format cvat, image {name!r}", "a name that CVAT skips", allowed, "rename it")


@contextmanager
def writer(folder: Path, classes: ClassSet, size: tuple[int, int]) -> Iterator[Callable[[Picture], None]]:
    """Yield a function that adds an image to cvat.zip in `folder`, which is written if the block succeeds.

    cvat_labels.json (CVAT's labels, as its tab Raw takes them) and cvat_dataset.yaml (how params.yaml names
    the corrected labels) are written, too. size: (width, height) for the latter, that of the training images.
    """
    names = list[str]()
    with archive(folder / ANNOTATIONS) as add_file:

        def add(picture: Picture) -> None:
            names.append(picture.name)
            add_file(f"SegmentationClass/{picture.name}.png", colored(picture.label, classes))

        yield add
        add_file("labelmap.txt", label_map(classes).encode())
        add_file("ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in names).encode())
    labels = [{"name": entry.name, "color": _hex(entry.color), "attributes": []} for entry in classes.classes]
    files.write_bytes(folder / LABELS, (json.dumps(labels, indent=2) + "\n").encode())
    files.write_bytes(folder / DATASET, dataset_block(classes, size).encode())


def label_map(classes: ClassSet) -> str:
    """Return labelmap.txt: a line `name:red,green,blue::` for each class, and for pixels without label."""
    colors = {entry.name: entry.color for entry in classes.classes}
    rows = [
        f"{name}:{','.join(map(str, color))}::" for name, color in ({UNLABELLED: _BLACK} | colors).items()
    ]
    return "\n".join(["# label:color_rgb:parts:actions", *rows]) + "\n"


def colored(label: NDArray[np.uint8], classes: ClassSet) -> bytes:
    """Return a PNG of the class colours of a label map (H, W) uint8."""
    colors = np.array(classes.palette(), np.uint8).reshape(256, 3)[:, ::-1]
    _, data = cv2.imencode(".png", colors[label])
    return data.tobytes()


def dataset_block(classes: ClassSet, size: tuple[int, int]) -> str:
    """Return the YAML text of a block of `preprocess` for what CVAT exports. size: (width, height)."""
    names = classes.names
    block = {
        "dataset": "folders",
        "root": "data/raw/corrected",
        "split": "all",
        "size": [*size],
        "storage": "png_uncompressed",
        "options": {
            "images": "images/**/*.{png,jpg,jpeg}",
            "labels": "SegmentationClass/{stem}.png",
            "encoding": "rgb",
            "mapping": {entry.name: [_hex(entry.color)] for entry in classes.classes},
            "ignore": [] if UNLABELLED in names else [_hex(_BLACK)],
        },
        "allow_absent": names,  # a few images need not have all classes
    }
    return _HEAD.format(images=IMAGES) + plain_yaml.dump(block)


def _hex(color: tuple[int, int, int]) -> str:
    return "#" + bytes(color).hex()
