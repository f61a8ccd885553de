"""GTA5, Cityscapes, SYNTHIA and Synscapes in their original formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intrada.core.config.classes import CITYSCAPES_11, CITYSCAPES_13, CITYSCAPES_16, CITYSCAPES_IDS, class_set
from intrada.core.errors import UserError
from tests.support.trees import class_and_instance, ids, image, names, opened, palette_ids

# Label ids 0..33 as train ids; the other half of this table is the list of train ids in test_labels.py.
AS_TRAIN_IDS = [255] * 7 + [
    0,
    1,
    255,
    255,
    2,
    3,
    4,
    255,
    255,
    255,
    5,
    255,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
    13,
    14,
    15,
]
AS_TRAIN_IDS += [255, 255, 16, 17, 18]


def test_gta5_label_ids_are_converted_to_train_ids(tmp_path: Path) -> None:
    image(tmp_path / "images" / "00001.png", 35, 1)
    palette_ids(tmp_path / "labels" / "00001.png", [range(35)])
    dataset = opened("gta5", tmp_path)
    (item,) = dataset.items()
    assert item.id == "00001" and item.label is not None
    assert dataset.read_label(item.label).tolist() == [[*AS_TRAIN_IDS, 255]]


def test_gta5_colours_are_recognised_and_decoded(tmp_path: Path) -> None:
    path = palette_ids(tmp_path / "labels" / "1.png", [[0, 7, 17, 18, 26, 33]])
    Image.open(path).convert("RGB").save(path)
    # A pole group (18) has the colour of a pole.
    assert opened("gta5", tmp_path).read_label(path).tolist() == [[255, 0, 5, 5, 13, 18]]
    Image.new("RGB", (3, 2), (1, 2, 3)).save(path)
    with pytest.raises(UserError, match=r"1\.png: unknown colour #010203 \(6 pixels\)"):
        opened("gta5", tmp_path).read_label(path)


def test_gta5_images_may_be_a_translated_copy_in_another_folder(tmp_path: Path) -> None:
    image(tmp_path / "images" / "1.png")
    image(tmp_path / "translated" / "1.jpg")
    palette_ids(tmp_path / "labels" / "1.png", [[7]])
    (item,) = opened("gta5", tmp_path, images="translated").items()
    assert item.image == tmp_path / "translated" / "1.jpg" and item.label == tmp_path / "labels" / "1.png"


@pytest.mark.parametrize("folder", ["../elsewhere", "/etc", "", 3])
def test_gta5_images_stay_below_the_root(tmp_path: Path, folder: Any) -> None:
    with pytest.raises(UserError, match=r"^options of gta5: images: "):
        opened("gta5", tmp_path, images=folder)


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    for folder, city, number in [("train", "ulm", 1), ("train", "aachen", 2), ("test", "berlin", 3)]:
        name = f"{city}_00000{number}_000019"
        image(tmp_path / "leftImg8bit" / folder / city / f"{name}_leftImg8bit.png")
        truth = tmp_path / "gtFine" / folder / city
        if folder == "train":
            ids(truth / f"{name}_gtFine_labelIds.png", [range(34)])
            ids(truth / f"{name}_gtFine_labelTrainIds.png", [[*range(19), 255]])
            ids(truth / f"{name}_gtFine_instanceIds.png", [[24]])
    return tmp_path


def test_cityscapes_ids_contain_the_city_once(cityscapes: Path) -> None:
    dataset = opened("cityscapes", cityscapes, "train")
    assert names(dataset) == ["aachen_000002_000019", "ulm_000001_000019"] and dataset.survey().orphans == []


def test_cityscapes_label_ids_and_train_ids_give_the_same_labels(cityscapes: Path) -> None:
    dataset = opened("cityscapes", cityscapes, "train", labels="labelIds")
    label = dataset.items()[0].label
    assert label is not None and label.name == "aachen_000002_000019_gtFine_labelIds.png"
    assert dataset.read_label(label).tolist() == [AS_TRAIN_IDS]
    dataset = opened("cityscapes", cityscapes, "train", labels="labelTrainIds")
    label = dataset.items()[0].label
    assert label is not None and dataset.read_label(label).tolist() == [[*range(19), 255]]


def test_cityscapes_train_ids_are_mapped_to_classes_by_name(cityscapes: Path) -> None:
    dataset = opened("cityscapes", cityscapes, "train", class_set(["sky", "road"]), labels="labelTrainIds")
    label = dataset.items()[0].label
    assert label is not None and dataset.read_label(label)[0, [0, 1, 10, 19]].tolist() == [1, 255, 0, 255]


def test_the_error_for_the_wrong_kind_of_cityscapes_labels_suggests_the_other(cityscapes: Path) -> None:
    path = ids(cityscapes / "wrong.png", [[0, 18, 255, 255]])
    with pytest.raises(UserError, match=r"unknown id 255 \(2 pixels\)[^$]*labels: labelTrainIds"):
        opened("cityscapes", cityscapes, "train").read_label(path)
    path = ids(cityscapes / "wrong.png", [[7, 23, 23, 33, 255]])
    with pytest.raises(UserError, match=r"id 23 \(2 pixels\), id 33 \(1 pixels\)[^$]*labels: labelIds"):
        opened("cityscapes", cityscapes, "train", labels="labelTrainIds").read_label(path)


def test_cityscapes_labels_are_optional(cityscapes: Path) -> None:
    assert [item.label for item in opened("cityscapes", cityscapes, "test").items()] == [None]
    assert [item.label for item in opened("cityscapes", cityscapes, "train", labels="none").items()] == [
        None
    ] * 2


def test_cityscapes_folders_can_be_combined_with_lists_and_ranges(cityscapes: Path) -> None:
    (cityscapes / "list.txt").write_text("ulm/ulm_000001_000019_leftImg8bit.png\n")
    assert names(opened("cityscapes", cityscapes, "train:list:list.txt")) == ["ulm_000001_000019"]
    assert names(opened("cityscapes", cityscapes, "train:range:0:1")) == ["aachen_000002_000019"]


def test_the_error_for_a_missing_cityscapes_folder_lists_the_existing_ones(cityscapes: Path) -> None:
    for split in ("val", "all", "", "list:list.txt"):
        with pytest.raises(UserError, match=r"split of cityscapes[^$]*leftImg8bit: test, train"):
            opened("cityscapes", cityscapes, split)
    with pytest.raises(UserError, match="labels: 'color'"):
        opened("cityscapes", cityscapes, "train", labels="color")


# AdvEnt's 16 classes: SYNTHIA's id -> index.
SYNTHIA_16 = {
    3: 0,
    4: 1,
    2: 2,
    21: 3,
    5: 4,
    7: 5,
    15: 6,
    9: 7,
    6: 8,
    1: 9,
    10: 10,
    17: 11,
    8: 12,
    19: 13,
    12: 14,
    11: 15,
}


def test_synthia_labels_are_the_first_channel_under_the_published_mapping(tmp_path: Path) -> None:
    image(tmp_path / "RGB" / "0000000.png", 23, 1)
    class_and_instance(tmp_path / "GT" / "LABELS" / "0000000.png", [range(23)])
    dataset = opened("synthia", tmp_path, classes=class_set(CITYSCAPES_16))
    (item,) = dataset.items()
    assert item.id == "0000000" and item.label is not None
    label = dataset.read_label(item.label)
    assert label.dtype == np.uint8 and label.tolist() == [[SYNTHIA_16.get(raw, 255) for raw in range(23)]]


@pytest.mark.parametrize("subset", [CITYSCAPES_13, CITYSCAPES_11])
def test_synthia_supports_smaller_class_sets(tmp_path: Path, subset: tuple[str, ...]) -> None:
    path = class_and_instance(tmp_path / "1.png", [[3, 1, 21]])
    expected = [[subset.index("road"), subset.index("sky"), 255]]
    assert opened("synthia", tmp_path, classes=class_set(subset)).read_label(path).tolist() == expected


def test_synthia_labels_of_other_kinds_are_refused(tmp_path: Path) -> None:
    dataset = opened("synthia", tmp_path)
    with pytest.raises(UserError, match=r"8 bits a channel.*\n.*GT/LABELS"):
        dataset.read_label(image(tmp_path / "color.png"))
    with pytest.raises(UserError, match=r"unknown id 23 \(1 pixels\), id 300 \(1 pixels\)\n"):
        dataset.read_label(class_and_instance(tmp_path / "1.png", [[300, 23, 3]]))
    whole = class_and_instance(tmp_path / "1.png", np.arange(23)[None].repeat(50, 0)).read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) - 30])
    with pytest.raises(UserError, match=r"1\.png: "):
        dataset.read_label(tmp_path / "1.png")


def test_synthia_ids_in_one_16_bit_channel_are_read_too(tmp_path: Path) -> None:
    Image.fromarray(np.array([[3, 1]], np.uint16)).save(tmp_path / "1.png")
    assert opened("synthia", tmp_path).read_label(tmp_path / "1.png").tolist() == [[0, 10]]


def test_synscapes_labels_hold_cityscapes_ids_and_255(tmp_path: Path) -> None:
    for name in ("1", "10", "2"):
        image(tmp_path / "img" / "rgb" / f"{name}.png")
        ids(tmp_path / "img" / "class" / f"{name}.png", [[*CITYSCAPES_IDS, 255]])
    dataset = opened("synscapes", tmp_path)
    assert names(dataset) == ["1", "10", "2"]
    label = dataset.items()[0].label
    assert label is not None and dataset.read_label(label).tolist() == [[*AS_TRAIN_IDS, 255]]
    with pytest.raises(UserError, match="id 34"):
        dataset.read_label(ids(tmp_path / "x.png", [[34]]))
