"""The files with which a person corrects predictions, read back without code of this project."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from intrada.core.config import plain_yaml
from intrada.core.config.classes import ClassSet, class_set
from intrada.core.config.schema import Domain
from intrada.core.errors import UserError
from intrada.data.datasets import open_dataset
from intrada.inference.deployment import coco, cvat
from tests.support.predicting import OUT, predict, unpacked
from tests.support.predicting import photographs as photographs
from tests.support.trained_model import CLASSES, NAMES, SIZE


def label(name: str) -> np.ndarray:
    return np.asarray(Image.open(OUT / "prediction" / f"{name}.png"))


def names_of(*kind: str) -> set[str]:
    return {path.name for path in OUT.iterdir() if path.suffix in kind}


# ---------------------------------------------------------------- COCO


def decoded(annotation: dict[str, Any]) -> np.ndarray:
    """Return the mask of an annotation, as COCO defines run lengths: outside first, column by column."""
    height, width = annotation["segmentation"]["size"]
    counts = annotation["segmentation"]["counts"]
    assert sum(counts) == height * width and min(counts[1:], default=1) > 0
    pixels = np.concatenate([np.full(count, number % 2 == 1) for number, count in enumerate(counts)])
    return pixels.reshape(width, height).T


def assembled(annotations: list[dict[str, Any]], shape: tuple[int, int]) -> np.ndarray:
    """Return the label map of the annotations, of which each pixel is in exactly one."""
    found, times = np.zeros(shape, np.uint8), np.zeros(shape, int)
    for annotation in annotations:
        mask = decoded(annotation)
        found[mask], times = annotation["category_id"] - 1, times + mask
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation["bbox"] == box and annotation["area"] == mask.sum()
    assert (times == 1).all()
    return found


def test_run_lengths_are_those_worked_by_hand() -> None:
    """Of 0 0 1 / 1 0 0, region 0 is columns 0 (upper pixel), 1 and 2 (lower); the two 1 do not touch."""
    found = coco.regions(np.array([[0, 0, 1], [1, 0, 0]], np.uint8))
    assert [(row["category_id"], row["segmentation"]["counts"]) for row in found] == [
        (1, [0, 1, 1, 2, 1, 1]),
        (2, [1, 1, 4]),
        (2, [4, 1, 1]),
    ]
    assert found[0]["bbox"] == [0, 0, 3, 2] and {row["iscrowd"] for row in found} == {1}


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert len(coco.regions(np.array([[0, 1], [1, 0]], np.uint8))) == 2


@given(arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)))
def test_the_regions_of_any_label_map_give_the_label_map(labels: np.ndarray) -> None:
    assert np.array_equal(assembled(coco.regions(labels), labels.shape), labels)


def test_the_coco_file_gives_the_label_maps(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("photos", "--format", "coco") == 0
    tree = json.loads((OUT / "coco.json").read_text())
    assert [entry["name"] for entry in tree["categories"]] == NAMES
    assert [entry["id"] for entry in tree["categories"]] == [*range(1, len(NAMES) + 1)]
    images = {entry["id"]: entry for entry in tree["images"]}
    assert [entry["file_name"] for entry in images.values()] == ["a.jpg", "night/b.png", "night/c.png"]
    ids = [row["id"] for row in tree["annotations"]]
    assert len(set(ids)) == len(ids) > len(images)
    for number, entry in images.items():
        rows = [row for row in tree["annotations"] if row["image_id"] == number]
        expected = label(entry["file_name"].rpartition(".")[0])
        assert np.array_equal(assembled(rows, (entry["height"], entry["width"])), expected)
    assert names_of(".zip", ".json") == {"coco.json", "images.zip"}
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == ["3 images to correct: out/images.zip", "their predictions: out/coco.json"]


# ---------------------------------------------------------------- CVAT


def test_the_cvat_archive_gives_the_label_maps_and_the_classes(photographs: Path) -> None:
    assert predict("photos", "--format", "cvat") == 0
    inside = unpacked(OUT / "cvat.zip")
    names = ["a", "night/b", "night/c"]
    assert inside["ImageSets/Segmentation/default.txt"].decode().splitlines() == names
    head, background, *rows = inside["labelmap.txt"].decode().splitlines()
    assert (head[0], background) == ("#", "background:0,0,0::")
    colors = {
        name: tuple(map(int, color.split(","))) for name, color, _, _ in (row.split(":") for row in rows)
    }
    assert list(colors) == NAMES
    for name in names:
        image = Image.open(BytesIO(inside[f"SegmentationClass/{name}.png"]))
        assert image.mode == "RGB"
        found = [[list(colors.values()).index(tuple(pixel)) for pixel in row] for row in np.asarray(image)]
        assert np.array_equal(found, label(name))
    labels = json.loads((OUT / "cvat_labels.json").read_text())
    assert [(entry["name"], entry["attributes"]) for entry in labels] == [(name, []) for name in NAMES]
    assert [entry["color"] for entry in labels] == ["#" + bytes(color).hex() for color in colors.values()]


def test_the_images_are_those_that_were_predicted_and_the_archive_is_readable_once_unpacked(
    photographs: Path,
) -> None:
    assert predict("photos", "--format", "cvat") == 0
    inside = unpacked(OUT / "images.zip")
    sources = {"a.jpg": "a.jpg", "night/b.png": "night/b.PNG", "night/c.png": "night/c.png"}
    assert inside == {name: Path("photos", source).read_bytes() for name, source in sources.items()}
    with zipfile.ZipFile(OUT / "images.zip") as archive:
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o644}


def test_corrected_labels_come_back_as_a_dataset_of_folders(photographs: Path) -> None:
    """A person paints a road into one image, and leaves some of its pixels without label."""
    assert predict("photos", "--format", "cvat") == 0
    block = Domain.model_validate(plain_yaml.parse((OUT / "cvat_dataset.yaml").read_text()))
    root = Path(block.root)
    for archive, folder in (("images.zip", root / "images"), ("cvat.zip", root)):
        with zipfile.ZipFile(OUT / archive) as opened:
            opened.extractall(folder)
    path = root / "SegmentationClass/night/b.png"
    pixels = np.array(Image.open(path))
    pixels[:4, :5] = CLASSES.classes[NAMES.index("road")].color
    pixels[10:, :5] = 0
    Image.fromarray(pixels).save(path)
    expected = {name: label(name).copy() for name in ("a", "night/b", "night/c")}
    expected["night/b"][:4, :5] = NAMES.index("road")
    expected["night/b"][10:, :5] = 255
    dataset = open_dataset(block.dataset, root, block.split, block.options, CLASSES)
    items = dataset.items()
    found = {item.image.relative_to(root / "images").with_suffix("").as_posix(): item for item in items}
    assert found.keys() == expected.keys() and block.size == [*SIZE]
    for name, item in found.items():
        assert item.label and np.array_equal(dataset.read_label(item.label), expected[name])


@pytest.mark.parametrize("color, ignore", [((0, 0, 0), []), ((1, 2, 3), [])])
def test_a_class_called_background_has_its_own_colour(color: tuple[int, int, int], ignore: list[str]) -> None:
    classes = class_set([{"name": "background", "color": [*color]}, "road"])
    rows = cvat.label_map(classes).splitlines()
    assert rows[1:] == ["background:{},{},{}::".format(*color), "road:128,64,128::"]
    assert plain_yaml.parse(cvat.dataset_block(classes, SIZE))["options"]["ignore"] == ignore  # type: ignore[index]
    cvat.check(classes, ["a"])


@pytest.mark.parametrize(
    "entry, names, found",
    [
        ({"name": "a:b", "color": [1, 2, 3]}, ["a"], "class a:b: a name that labelmap.txt cannot hold"),
        ({"name": "#a", "color": [1, 2, 3]}, ["a"], "class #a: a name that labelmap.txt cannot hold"),
        ({"name": "sea", "color": [0, 0, 0]}, ["a"], "class sea: black, which is the colour of"),
        ("sky", ["#a"], "image '#a': a name that CVAT skips"),
        ("sky", ["a", " b"], "image ' b': a name that CVAT skips"),
    ],
)
def test_what_cvat_cannot_read_is_refused(entry: Any, names: list[str], found: str) -> None:
    classes: ClassSet = class_set([entry, "road"])
    with pytest.raises(UserError) as caught:
        cvat.check(classes, names)
    assert str(caught.value).startswith(f"--format cvat, {found}")


def test_a_name_that_cvat_skips_stops_before_the_predictions(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/a.jpg").rename("photos/#a.jpg")
    assert predict("photos", "--format", "cvat") == 1 and not OUT.exists()
    assert "rename it" in capsys.readouterr().err
    assert predict("photos", "--format", "coco") == 0
