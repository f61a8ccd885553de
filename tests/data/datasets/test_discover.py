"""The patterns that describe a folder are found from its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from intrada.core.errors import UserError
from intrada.data.datasets.discover import Part, discover
from tests.support.own_data import colors, label, photo

NAMES = ("a1", "b_2", "0c2550a23b8a")


def flat(top: Path) -> None:
    for name in NAMES:
        photo(top / f"images/{name}.jpg")
        label(top / f"labels/{name}.png", [0, 1])


def beside(top: Path) -> None:
    for name in NAMES:
        photo(top / f"{name}_leftImg8bit.png")
        label(top / f"{name}_gtFine_labelIds.png", [0, 1])
        colors(top / f"{name}_gtFine_color.png", [(1, 2, 3), (4, 5, 6)])


def drives(top: Path) -> None:
    for split, name in [("train", "1"), ("train", "frame2"), ("val", "1")]:
        for drive in ("12", "34"):
            photo(top / f"leftImg8bit/{split}/{drive}/{name}_image.jpg")
            label(top / f"gtFine/{split}/{drive}/{name}_label.png", [0, 1, 255])


def splits(top: Path) -> None:
    for split in ("training", "validation"):
        for name in NAMES:
            photo(top / split / "images" / f"{name}.PNG", grey=True)
            label(top / split / "masks" / f"{name}.png", [0, 1])


def in_colors(top: Path) -> None:
    for name, ending in zip(NAMES, ("png", "jpeg", "jpg"), strict=True):
        photo(top / f"rgb/{name}.{ending}")
        colors(top / f"seg/{name}.png", [(128, 64, 128), (70, 130, 180)])


def photos_alone(top: Path) -> None:
    for name in NAMES:
        photo(top / f"{name}.jpg")
    (top / "notes.txt").write_text("x")


def with_others(top: Path) -> None:
    flat(top)
    photo(top / "preview/a1_large.jpg")


@pytest.mark.parametrize(
    "make, parts",
    [
        (flat, [Part("", "images/*.jpg", "labels/{stem}.png", "ids")]),
        (beside, [Part("", "*_leftImg8bit.png", "{stem}_gtFine_labelIds.png", "ids")]),
        (
            drives,
            [
                Part(
                    split, f"leftImg8bit/{split}/**/*_image.jpg", f"gtFine/{split}/{{stem}}_label.png", "ids"
                )
                for split in ("train", "val")
            ],
        ),
        (
            splits,
            [
                Part("train", "training/images/*.png", "training/masks/{stem}.png", "ids"),
                Part("val", "validation/images/*.png", "validation/masks/{stem}.png", "ids"),
            ],
        ),
        (in_colors, [Part("", "rgb/*.{jpeg,jpg,png}", "seg/{stem}.png", "rgb")]),
        (photos_alone, [Part("", "*.jpg", None, "ids")]),
        (with_others, [Part("", "images/*.jpg", "labels/{stem}.png", "ids")]),
    ],
)
def test_patterns(make: Callable[[Path], None], parts: list[Part], tmp_path: Path) -> None:
    make(tmp_path)
    assert discover(tmp_path) == parts


def test_several_data_sets_are_named(tmp_path: Path) -> None:
    flat(tmp_path / "day")
    flat(tmp_path / "dusk")
    with pytest.raises(UserError, match="several data sets: day, dusk") as caught:
        discover(tmp_path)
    assert f"{tmp_path}/day {tmp_path}/dusk" in caught.value.fix


def test_a_folder_without_images_is_refused_with_what_is_there(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.tif").touch()
    with pytest.raises(UserError, match=r"no image, but 3 \.tif"):
        discover(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        discover(tmp_path / "missing")
