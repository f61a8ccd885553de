from __future__ import annotations

from pathlib import Path

import pytest

from intrada.core.errors import UserError
from intrada.data.datasets import DATASETS
from intrada.data.datasets.base import Item
from tests.support.trees import ids, image, names, opened


@pytest.fixture
def gta5(tmp_path: Path) -> Path:
    for name in ("00003", "00001", "00002"):
        image(tmp_path / "images" / f"{name}.png")
        ids(tmp_path / "labels" / f"{name}.png", [[7, 8, 11, 34]] * 2)
    return tmp_path


def test_items_are_images_with_labels_sorted_by_id(gta5: Path) -> None:
    assert opened("gta5", gta5).items() == [
        Item(name, gta5 / "images" / f"{name}.png", gta5 / "labels" / f"{name}.png")
        for name in ("00001", "00002", "00003")
    ]


@pytest.mark.parametrize(
    "split, expected",
    [
        ("all", "123"),
        ("range:0:2", "12"),
        ("range:1:", "23"),
        ("range::-1", "12"),
        ("range:-1:", "3"),
        ("range:2:99", "3"),
    ],
)
def test_a_range_is_a_slice_of_the_sorted_images(gta5: Path, split: str, expected: str) -> None:
    assert [name[-1] for name in names(opened("gta5", gta5, split))] == list(expected)


@pytest.mark.parametrize("line", ["00002", "00002.png", "images/00002.png", "images/00002", " 00002.png \r"])
def test_a_list_may_have_ids_file_names_or_paths(gta5: Path, line: str) -> None:
    (gta5 / "some.txt").write_text(f"﻿# easy ones\n\n00003.png\n{line}\n", encoding="utf-8")
    assert names(opened("gta5", gta5, "list:some.txt")) == ["00002", "00003"]
    assert names(opened("gta5", gta5, f"list:{gta5 / 'some.txt'}")) == ["00002", "00003"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../some.txt", "images/../../some.txt"])
def test_a_list_outside_of_the_root_is_refused_unread(gta5: Path, name: str) -> None:
    with pytest.raises(
        UserError, match=rf"split: 'list:{name}', a file outside of .*\n.* below `root`"
    ) as error:
        opened("gta5", gta5, f"list:{name}").items()
    assert "root:" not in str(error.value)


def test_a_linked_list_is_read_and_its_text_is_not_shown(
    gta5: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "list.txt"
    path.write_text("00002\n\nsecret\n")
    (gta5 / "some.txt").symlink_to(path)
    with pytest.raises(UserError, match=r"some\.txt, line 3: it is the name of 0 images") as error:
        opened("gta5", gta5, "list:some.txt").items()
    assert "secret" not in str(error.value)
    path.write_text("00002\n")
    assert names(opened("gta5", gta5, "list:some.txt")) == ["00002"]


def test_a_wrong_line_of_a_list_is_shown_escaped_and_shortened(gta5: Path) -> None:
    (gta5 / "some.txt").write_text("\x1b[31m" + "a" * 1000)
    with pytest.raises(UserError, match=r"line 1: '\\x1b\[31ma{75}'\.\.\. is the name of 0 images"):
        opened("gta5", gta5, "list:some.txt").items()


def test_a_line_that_matches_no_image_is_refused(gta5: Path) -> None:
    (gta5 / "some.txt").write_text("00001\n00004.png\n")
    with pytest.raises(UserError, match=r"some\.txt, line 2: '00004\.png' is the name of 0 images"):
        opened("gta5", gta5, "list:some.txt").items()


def test_all_lines_that_match_no_image_are_named(gta5: Path) -> None:
    (gta5 / "some.txt").write_text("4\n00001\n5\n")
    with pytest.raises(UserError, match=r"2 faults[^$]*line 1: '4' is[^$]*line 3: '5' is"):
        opened("gta5", gta5, "list:some.txt").items()


def test_a_line_that_matches_two_images_is_refused(tmp_path: Path) -> None:
    for folder in "ab":
        image(tmp_path / folder / "1.png")
    (tmp_path / "some.txt").write_text("1.png\n")
    with pytest.raises(UserError, match=r"line 1: '1\.png' is the name of 2 images"):
        opened("folders", tmp_path, "list:some.txt", images="**/*.png").items()


def test_a_missing_or_empty_list_is_refused(gta5: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: no such file"):
        opened("gta5", gta5, "list:none.txt").items()
    (gta5 / "empty.txt").touch()
    with pytest.raises(UserError, match="selects none of 3 images"):
        opened("gta5", gta5, "list:empty.txt").items()


@pytest.mark.parametrize("split", ["", "train", "range:1", "range:a:b", "range:-:2", "list:", "list", "ALL"])
def test_a_split_of_another_form_is_refused(gta5: Path, split: str) -> None:
    with pytest.raises(UserError, match=r"^split: .*\n  allowed: all, list:FILE"):
        opened("gta5", gta5, split).items()


def test_a_range_without_an_image_is_refused(gta5: Path) -> None:
    with pytest.raises(UserError, match="'range:5:9' selects none of 3 images"):
        opened("gta5", gta5, "range:5:9").items()


def test_folders_become_part_of_the_id(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/deep/1.jpg", "a/1.JPEG"):
        image(tmp_path / "img" / name)
    assert names(opened("folders", tmp_path, images="img/**/*.*")) == ["a__1", "a__deep__1", "b__1"]


def test_items_are_sorted_by_id_not_by_path(tmp_path: Path) -> None:
    for name in ("a/1.png", "a0/1.png"):
        image(tmp_path / name)
    assert names(opened("folders", tmp_path, images="**/*.png")) == ["a0__1", "a__1"]


def test_two_images_with_one_id_are_refused(tmp_path: Path) -> None:
    image(tmp_path / "a" / "b.png")
    image(tmp_path / "a__b.png")
    with pytest.raises(UserError, match="the id a__b, as"):
        opened("folders", tmp_path, images="**/*.png").items()


def test_two_formats_of_one_image_are_refused(tmp_path: Path) -> None:
    image(tmp_path / "images" / "1.png")
    image(tmp_path / "images" / "1.jpg")
    with pytest.raises(UserError, match="both would be called 1"):
        opened("gta5", tmp_path).items()


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "x" * 201, "\udcff"])
def test_a_file_name_that_cannot_be_an_id_is_refused(tmp_path: Path, name: str) -> None:
    image(tmp_path / "images" / "1.png").rename(tmp_path / "images" / f"{name}.png")
    with pytest.raises(UserError, match="the id ") as caught:
        opened("gta5", tmp_path).items()
    assert str(caught.value).isprintable() or "\n" in str(caught.value)


def test_hidden_files_and_other_file_types_are_skipped(gta5: Path) -> None:
    image(gta5 / "images" / "._00001.png")
    (gta5 / "images" / "Thumbs.db").touch()
    assert len(opened("gta5", gta5).items()) == 3


@pytest.mark.parametrize("name", ["gta5", "synthia", "synscapes"])
def test_a_missing_or_empty_folder_is_refused(tmp_path: Path, name: str) -> None:
    dataset = opened(name, tmp_path)
    with pytest.raises(UserError, match=f"^{tmp_path}/.*: no such folder\n  allowed: images at"):
        dataset.items()
    folder = tmp_path / dataset.layout.images.rpartition("/")[0]
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match="no image, but nothing"):
        dataset.items()
    (folder / "a.tif").touch()
    with pytest.raises(UserError, match=r"no image, but 1 other files, a\.tif the first"):
        dataset.items()


def test_a_link_loop_is_refused(gta5: Path) -> None:
    (gta5 / "images" / "again").symlink_to(gta5 / "images")
    with pytest.raises(UserError, match="images/again: a link back to"):
        opened("gta5", gta5).items()


def test_images_behind_a_link_are_found(gta5: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("linked")
    for name in ("images", "labels"):
        (root / name).symlink_to(gta5 / name)
    assert [item.label is not None for item in opened("gta5", root).items()] == [True] * 3


def test_images_without_labels_are_items_too(gta5: Path) -> None:
    (gta5 / "labels" / "00002.png").unlink()
    dataset = opened("gta5", gta5)
    assert [item.label is None for item in dataset.items()] == [False, True, False]
    assert dataset.survey().unlabelled == [(gta5 / "images" / "00002.png", "00002")]


def test_labels_without_images_are_orphans_if_the_split_is_all(gta5: Path) -> None:
    assert opened("gta5", gta5).survey().orphans == []
    (gta5 / "images" / "00002.png").unlink()
    assert opened("gta5", gta5).survey().orphans == [gta5 / "labels" / "00002.png"]
    assert opened("gta5", gta5, "range:0:1").survey().orphans == []


def test_an_unknown_dataset_or_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'gta6'") as caught:
        opened("gta6", tmp_path)
    assert all(name in str(caught.value) for name in DATASETS)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        opened("gta5", tmp_path / "nowhere")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_an_unknown_option_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "leftImg8bit" / "all").mkdir(parents=True)
    with pytest.raises(UserError, match=f"options of {name}: the unknown 'colour'"):
        opened(name, tmp_path, colour=1)
