"""Which files a layout finds, leaves out and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.data.datasets.base import Dataset
from intrada.data.datasets.validation import validate
from tests.support.trees import ids, image, names, opened

CLASSES = class_set(["sky", "road"])
OPTIONS: dict[str, Any] = {
    "images": "images/**/*.{png,jpg}",
    "labels": "masks/{stem}.png",
    "mapping": {"sky": [0], "road": [1]},
}


def folders(root: Path, split: str = "all", **changes: Any) -> Dataset:
    return opened("folders", root, split, CLASSES, **(OPTIONS | changes))


def pair(root: Path, name: str, label: str = "") -> None:
    """Write the image images/NAME and its label masks/LABEL."""
    image(root / "images" / name)
    ids(root / "masks" / (label or f"{Path(name).with_suffix('')}.png"), [[0, 1, 0, 1]] * 2)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.png", "b.JPG", "c/d.png"):
        pair(tmp_path, name)
    return tmp_path


# --- patterns


def test_alternatives_and_endings_in_capitals_are_found(tree: Path) -> None:
    (tree / "masks/a.png").rename(tree / "masks/a.PNG")
    dataset = folders(tree)
    assert names(dataset) == ["a", "b", "c__d"]
    assert validate(dataset, labelled=True).labelled == 3


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("images/*.jpg", ["b"]),
        ("images/*.JPG", ["b"]),
        ("images/*.{PNG,jpg}", ["a", "b"]),
        ("images/{*.png,*.jpg}", ["a", "b"]),
        ("images/{a,b}.*", ["a", "b"]),
        ("{images,elsewhere}/*.png", ["images__a"]),
        ("images/{c,e}/*.png", ["c__d"]),
        ("images/a.png", ["a"]),
    ],
)
def test_the_stem_is_what_the_wildcards_match(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(folders(tree, images=pattern, labels=None)) == found


@pytest.mark.parametrize("pattern", ["{stem}.png", "{a,{b,c}}.png", "a{.png", "a}.png"])
def test_a_brace_that_is_no_list_is_refused(tree: Path, pattern: str) -> None:
    with pytest.raises(UserError, match=r"glob .*unmatched or nested brace[^$]*\{png,jpg\}"):
        folders(tree, images=f"images/{pattern}").items()


@pytest.mark.parametrize("other", ["a.jpg", "a.PNG"])
def test_two_images_of_one_stem_are_refused(tree: Path, other: str) -> None:
    image(tree / "images" / other)
    with pytest.raises(UserError, match=r"is there, too, and both would be called a[^$]*`exclude`"):
        folders(tree).items()


def test_one_of_two_images_can_be_excluded(tree: Path) -> None:
    image(tree / "images/a.jpg")
    assert names(folders(tree, exclude=["images/a.jpg"])) == ["a", "b", "c__d"]


def test_two_labels_of_one_image_are_refused(tree: Path) -> None:
    ids(tree / "masks/a.PNG", [[1, 1, 1, 1]] * 2)
    with pytest.raises(UserError, match=r"masks/a\.(png|PNG): a\.(png|PNG) is there, too"):
        folders(tree).items()


def test_every_fault_of_the_names_is_reported(tree: Path) -> None:
    image(tree / "images/a.jpg")
    image(tree / "images/b.png")
    image(tree / "images/c__d.png")
    with pytest.raises(UserError, match="3 faults") as caught:
        folders(tree).items()
    assert all(text in str(caught.value) for text in ("called a", "called b", "the id c__d"))


# --- what is left out


def test_other_files_below_the_image_folder_are_counted_and_named(tree: Path) -> None:
    for name in ("x.tiff", "c/y.webp", "notes.txt", ".hidden", "Thumbs.db", "._a.png"):
        (tree / "images" / name).touch()
    report = validate(folders(tree), labelled=True)
    assert (report.left_out, report.examples) == (3, ["images/c/y.webp", "images/notes.txt", "images/x.tiff"])
    assert validate(folders(tree, images="images/*.png"), labelled=False).left_out == 5


def test_labels_in_the_folder_of_the_images_are_not_left_out(tmp_path: Path) -> None:
    image(tmp_path / "data/a_rgb.png")
    ids(tmp_path / "data/a_ids.png", [[0, 1, 0, 1]] * 2)
    dataset = folders(tmp_path, images="data/*_rgb.png", labels="data/{stem}_ids.png")
    assert validate(dataset, labelled=True).left_out == 0


@pytest.mark.parametrize(
    "exclude, left, count",
    [
        (["images/c"], ["a", "b"], 1),
        (["images/*.png"], ["b", "c__d"], 1),
        (["images/**/*.PNG"], ["b"], 2),
        (["images/{a,b}.*", "masks/unused"], ["c__d"], 2),
        (["c"], ["a", "b", "c__d"], 0),
    ],
)
def test_excluded_files_and_their_labels_are_no_part_of_the_data(
    tree: Path, exclude: list[str], left: list[str], count: int
) -> None:
    dataset = folders(tree, exclude=exclude)
    report = validate(dataset, labelled=True)
    assert (names(dataset), report.excluded, report.left_out) == (left, count, 0)


def test_a_foreign_image_can_be_excluded(tree: Path) -> None:
    (tree / "images/icon.png").write_text("no image")
    with pytest.raises(UserError, match="narrow the option `images`, or list them in the option `exclude`"):
        validate(folders(tree), labelled=False)
    assert validate(folders(tree, exclude=["images/icon.*"]), labelled=True).images == 3


@pytest.mark.parametrize("value", ["images/c", [3], ["../images"], ["/images"], [""], None])
def test_exclude_is_a_list_of_patterns_below_the_root(tree: Path, value: Any) -> None:
    with pytest.raises(UserError, match="^options of folders: exclude: "):
        folders(tree, exclude=value)


def test_excluding_every_image_is_an_error(tree: Path) -> None:
    with pytest.raises(UserError, match="`exclude` leaves out all 3 images"):
        folders(tree, exclude=["images"]).items()


def test_other_datasets_have_the_option_exclude_too(tmp_path: Path) -> None:
    for name in "12":
        image(tmp_path / f"images/{name}.png")
    assert names(opened("gta5", tmp_path, exclude=["images/2.png"])) == ["1"]


# --- labels


@pytest.mark.parametrize(
    "ending",
    ["_labelTrainIds", "_labelIds", "_instanceIds", "_color", "_gtFine_labelTrainIds", "_gt_labelColor",
     "_trainId", "_polygons", "_gtFine_labellevel3Ids", "_instanceTrainIds", "_labelcsTrainIds", "_color_gray"],
)  # fmt: skip
def test_what_a_converter_wrote_beside_a_label_is_no_label(tree: Path, ending: str) -> None:
    (tree / f"masks/a{ending}.png").write_text("not read")
    assert validate(folders(tree), labelled=True).images == 3


def test_such_a_label_without_its_image_is_an_error(tree: Path) -> None:
    (tree / "masks/x_labelTrainIds.png").touch()
    (tree / "masks/a_old.png").touch()
    with pytest.raises(UserError, match=r"a_old\.png: no image has this label[^$]*x_labelTrainIds\.png"):
        validate(folders(tree), labelled=True)


@pytest.mark.parametrize(
    "pattern, hint",
    [
        ("mask/{stem}.png", "there is no folder .*/mask, but masks, images beside it"),
        ("masks/deep/er/{stem}.png", "there is no folder .*/masks/deep, but c beside it"),
        ("masks/{stem}_ids.png", r"masks has a\.png, b\.png"),
        ("Masks/{stem}.png", "but masks, images beside it"),
    ],
)
def test_the_error_for_a_label_pattern_without_a_match_says_what_is_there(
    tree: Path, pattern: str, hint: str
) -> None:
    with pytest.raises(UserError, match=rf"3 of 3 images have none[^$]*{hint}[^$]*`labels: null`"):
        validate(folders(tree, labels=pattern), labelled=True)
