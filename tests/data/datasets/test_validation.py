from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.data.datasets.base import Dataset
from intrada.data.datasets.validation import Report, Work, examine, validate
from tests.support.trees import ids, image, opened

CLASSES = class_set(["road", "sky", "car"])
Thing = TypeVar("Thing")


@pytest.fixture
def gta5(tmp_path: Path) -> Path:
    for name in "1234":
        image(tmp_path / "images" / f"{name}.png", 4, 2)
        ids(tmp_path / "labels" / f"{name}.png", [[7, 7, 23, 0], [26, 7, 23, 0]])
    return tmp_path


def dataset(root: Path, split: str = "all") -> Dataset:
    return opened("gta5", root, split, CLASSES)


def test_the_report_of_a_valid_dataset_has_its_numbers(gta5: Path) -> None:
    image(gta5 / "images" / "4.png", 8, 4)
    expected = Report(
        images=4,
        labelled=4,
        sizes={(4, 2): 3, (8, 4): 1},
        pixels={"road": 12, "sky": 8, "car": 4},
        ignored=8,
        rescaled=["4"],
    )
    for workers in (1, 3):
        assert validate(dataset(gta5), labelled=True, workers=workers) == expected


def test_without_labelled_no_label_is_opened(gta5: Path) -> None:
    for path in (gta5 / "labels").iterdir():
        path.write_text("secret")
    (gta5 / "labels" / "1.png").unlink()
    report = validate(dataset(gta5), labelled=False)
    assert report == Report(4, 3, {(4, 2): 4}, {}, 0, [])


def test_progress_receives_every_image(gta5: Path) -> None:
    calls: list[object] = []

    def progress(items: Iterable[Thing], total: int, unit: str) -> Iterator[Thing]:
        for item in items:
            calls.append((total, unit))
            yield item

    examine(dataset(gta5), labelled=True, work=Work(progress=progress))
    assert calls == [(4, "image")] * 4


def test_an_image_without_label_and_a_label_without_image_are_refused(gta5: Path) -> None:
    (gta5 / "images" / "3.png").unlink()
    with pytest.raises(UserError, match=r"labels/3\.png: no image has this label"):
        validate(dataset(gta5), labelled=True)
    (gta5 / "labels" / "2.png").unlink()
    with pytest.raises(
        UserError, match=r"2 faults[^$]*2\.png: no label [^$]*labels/2\.png[^$]*3\.png: no image"
    ):
        validate(dataset(gta5), labelled=True)
    (gta5 / "list.txt").write_text("1\n4\n")
    assert validate(dataset(gta5, "list:list.txt"), labelled=True).images == 2


def test_a_label_of_another_aspect_ratio_than_its_image_is_refused(gta5: Path) -> None:
    image(gta5 / "images" / "2.png", 2, 4)
    with pytest.raises(UserError, match=r"labels/2\.png: 4x2 pixels, its image has 2x4"):
        validate(dataset(gta5), labelled=True)


def test_the_error_counts_all_wrong_files_and_lists_the_first_ones(gta5: Path) -> None:
    ids(gta5 / "labels" / "1.png", [[200, 200, 7, 7]] * 2)
    (gta5 / "labels" / "3.png").write_bytes(b"")
    (gta5 / "images" / "4.png").write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        validate(dataset(gta5), labelled=True, workers=2)
    text = str(caught.value)
    assert f"{gta5}: 3 faults\n" in text
    assert "1.png: unknown id 200 (4 pixels)" in text
    assert "3.png: an empty file (0 bytes)" in text and "4.png: cannot identify" in text


def test_the_error_has_the_number_of_files_that_it_does_not_list(tmp_path: Path) -> None:
    for number in range(8):
        image(tmp_path / "images" / f"{number}.png")
        ids(tmp_path / "labels" / f"{number}.png", [[99, 99], [7, 7]])
    with pytest.raises(UserError, match=r": 8 faults\n[^$]*and 3 more\n"):
        validate(dataset(tmp_path), labelled=True)


def test_a_class_without_a_pixel_is_an_error_unless_it_may_be_absent(gta5: Path) -> None:
    for path in (gta5 / "labels").iterdir():
        ids(path, [[7, 7, 23, 0]] * 2)
    with pytest.raises(UserError, match=r"no label has a pixel of car \(in 4 labels\)[^$]*allow_absent"):
        validate(dataset(gta5), labelled=True)
    assert validate(dataset(gta5), labelled=True, absent=["car"]).pixels["car"] == 0


def test_a_misspelt_absent_class_is_refused(gta5: Path) -> None:
    with pytest.raises(UserError, match=r"unknown class 'cra'[^$]*did you mean 'car'"):
        validate(dataset(gta5), labelled=True, absent=["cra"])


def test_a_dataset_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="images: no such folder"):
        validate(dataset(tmp_path), labelled=False)
