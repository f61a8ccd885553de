from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from tests.support.trees import ids, image, names, opened

CLASSES = class_set(["sky", "road", {"name": "solar panel", "color": [1, 2, 3]}])
IDS: dict[str, Any] = {
    "images": "photos/*.jpg",
    "labels": "masks/{stem}.png",
    "mapping": {"sky": [0, 1], "road": [4], "solar panel": [7], "bus": [5]},
    "ignore": [11, 255],
}
RGB: dict[str, Any] = {
    **IDS,
    "encoding": "rgb",
    "mapping": {"sky": ["#0000ff"], "road": ["#FF0000", "#fe0000"]},
    "ignore": ["#000000"],
}


def test_ids_are_converted_to_classes_and_ignored_ids_to_255(tmp_path: Path) -> None:
    image(tmp_path / "photos" / "1.jpg", 6, 1)
    ids(tmp_path / "masks" / "1.png", [[0, 4, 7, 5, 11, 255, 1]])
    dataset = opened("folders", tmp_path, classes=CLASSES, **IDS)
    (item,) = dataset.items()
    # A bus (5) is a Cityscapes class that is not among CLASSES.
    assert item.label is not None and dataset.read_label(item.label).tolist() == [[0, 1, 2, 255, 255, 255, 0]]


def test_colours_are_converted_to_classes(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 255], [255, 0, 0], [0, 0, 0], [254, 0, 0]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "1.png")
    dataset = opened("folders", tmp_path, classes=CLASSES, **RGB)
    assert dataset.read_label(tmp_path / "1.png").tolist() == [[0, 1, 255, 1]]
    Image.fromarray(pixels).quantize(4).save(tmp_path / "1.png")
    assert dataset.read_label(tmp_path / "1.png").tolist() == [[0, 1, 255, 1]]


def test_the_error_lists_unknown_ids_and_colours_by_frequency(tmp_path: Path) -> None:
    path = ids(tmp_path / "1.png", [[10, 2, 2, 0, 3, 6, 8, 9]])
    with pytest.raises(
        UserError, match=r"1\.png: unknown id 2 \(2 pixels\), id 3 \(1 pixels\).* and 1 more"
    ) as caught:
        opened("folders", tmp_path, classes=CLASSES, **IDS).read_label(path)
    assert "the ids 0, 1, 4, 5, 7, 11, 255" in str(caught.value) and "`ignore`" in str(caught.value)
    Image.new("RGB", (2, 1), (1, 2, 3)).save(path)
    with pytest.raises(UserError, match=r"unknown colour #010203 \(2 pixels\)"):
        opened("folders", tmp_path, classes=CLASSES, **RGB).read_label(path)


@pytest.mark.parametrize(
    "glob, label, files",
    [
        ("photos/*.jpg", "masks/{stem}.png", ("photos/1.jpg", "masks/1.png")),
        ("*_rgb.png", "{stem}_mask.png", ("1_rgb.png", "1_mask.png")),
        ("img/**/*_rgb.jpg", "ann/{stem}_x.png", ("img/a/b/1_rgb.jpg", "ann/a/b/1_x.png")),
        ("img/*/cam/*.png", "ann/{stem}.png", ("img/a/cam/1.png", "ann/a/cam/1.png")),
        ("img/frame?[0-9].*", "ann/{stem}.png", ("img/frame01.jpg", "ann/frame01.png")),
        ("./img//*", "./ann/{stem}.png", ("img/v1.5.png", "ann/v1.5.png")),
        ("img/*[!x].png", "ann/{stem}.png", ("img/1.png", "ann/1.png")),
    ],
)
def test_the_stem_is_the_part_that_the_wildcards_match(
    tmp_path: Path, glob: str, label: str, files: tuple[str, str]
) -> None:
    image(tmp_path / files[0])
    image(tmp_path / "elsewhere" / "notes.png")
    image(tmp_path / "img" / "x.png")
    ids(tmp_path / files[1], [[0]])
    dataset = opened("folders", tmp_path, classes=CLASSES, **{**IDS, "images": glob, "labels": label})
    pairs = {item.image: item.label for item in dataset.items()}
    assert pairs[tmp_path / files[0]] == tmp_path / files[1]


def test_labels_are_optional(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    dataset = opened("folders", tmp_path, classes=CLASSES, images="*.png")
    assert names(dataset) == ["a"] and dataset.items()[0].label is None and dataset.survey().orphans == []


def test_an_invalid_glob_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"glob \[z-a\]\.png: bad character range"):
        opened("folders", tmp_path, images="[z-a].png").items()


def test_a_label_pattern_that_matches_the_images_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    dataset = opened(
        "folders", tmp_path, classes=CLASSES, **{**IDS, "images": "*.png", "labels": "{stem}.png"}
    )
    with pytest.raises(UserError, match="matches the image itself"):
        dataset.items()


def wrong(key: str, value: Any, base: dict[str, Any] = IDS) -> dict[str, Any]:
    return {**base, key: value}


@pytest.mark.parametrize(
    "options, found",
    [
        ({}, "images: None"),
        (wrong("images", 3), "images: 3"),
        (wrong("images", "../*.png"), "images: '../"),
        (wrong("labels", "/masks/{stem}.png"), "labels: '/masks"),
        (wrong("labels", "masks/*.png"), "labels: 'masks"),
        (wrong("labels", "{stem}/{stem}.png"), "labels: '{stem}/"),
        (wrong("labels", "{stem}.jpg"), "labels: '{stem}.jpg'"),
        (wrong("encoding", "RGB"), "encoding: 'RGB'"),
        (wrong("mapping", {}), "mapping: {}"),
        (wrong("mapping", [1]), r"mapping: \[1\]"),
        (wrong("mapping", {"sky": 0}), r"mapping: {'sky': 0}"),
        (wrong("mapping", {"sky": []}), r"mapping: {'sky': \[\]}"),
        (wrong("mapping", {0: [1]}), r"mapping: {0: \[1\]}"),
        (wrong("mapping", {0: "sky"}), "mapping: {0: 'sky'}"),
        (wrong("mapping", {"sky": ["0"]}), "mapping or ignore: '0'"),
        (wrong("mapping", {"sky": [256]}), "mapping or ignore: 256"),
        (wrong("mapping", {"sky": [True]}), "mapping or ignore: True"),
        (wrong("mapping", {"sky": [[0]]}), r"mapping or ignore: \[0\]"),
        (wrong("mapping", {"sky": ["#000000"]}), "mapping or ignore: '#000000'"),
        (wrong("ignore", 255), "ignore: 255"),
        (wrong("ignore", [[0]]), r"mapping or ignore: \[0\]"),
        (wrong("ignore", [-1]), "mapping or ignore: -1"),
        (wrong("mapping", {"sky": [0]}, RGB), "mapping or ignore: 0"),
        (wrong("mapping", {"sky": ["#0000f"]}, RGB), "mapping or ignore: '#0000f'"),
        (wrong("mapping", {"sky": ["0000ff"]}, RGB), "mapping or ignore: '0000ff'"),
        (wrong("mapping", {"sky": [[0, 0, 255]]}, RGB), r"mapping or ignore: \[0, 0, 255\]"),
        (wrong("ignore", [0], RGB), "mapping or ignore: 0"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, options: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=f"^options of folders: .*{found}"):
        opened("folders", tmp_path, classes=CLASSES, **options)


@pytest.mark.parametrize(
    "options, found",
    [
        (wrong("mapping", {"sky": [0, 4], "road": [4]}), "ignore: 4.*for sky and road"),
        (wrong("mapping", {"sky": [0, 0]}), "ignore: 0.*for sky and sky"),
        (wrong("ignore", [7]), "ignore: 7.*for solar panel and ignore"),
        (wrong("ignore", [11, 11]), "ignore: 11.*for ignore and ignore"),
        (wrong("mapping", {"sky": ["#0000fF"], "road": ["#0000Ff"]}, RGB), "'#0000Ff'.*for sky and road"),
        (wrong("ignore", ["#fE0000"], RGB), "'#fE0000'.*for road and ignore"),
    ],
)
def test_a_duplicate_id_or_colour_is_refused(tmp_path: Path, options: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=re.compile(found, re.S)):
        opened("folders", tmp_path, classes=CLASSES, **options)


@pytest.mark.parametrize("options", [IDS, RGB])
def test_a_misspelt_class_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    mapping = {"skyy": [0] if options is IDS else ["#010101"]}
    with pytest.raises(UserError, match=r"unknown class 'skyy'[^$]*did you mean 'sky'"):
        opened("folders", tmp_path, classes=CLASSES, **wrong("mapping", mapping, options))
