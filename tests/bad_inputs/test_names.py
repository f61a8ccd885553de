"""Valid and invalid names of image files.

Valid: any printable name of at most 200 bytes, with spaces, quotes, commas, umlauts, emoji, leading zeros, NA
or shell metacharacters. Refused: line breaks, tabs and other control characters, bytes that are not UTF-8,
longer names, two images with the same id. Ignored: names with a leading dot.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intrada.data import tables
from tests.support.bad_inputs_tree import MODEL, OPTIONS, PHOTO, Stage, draw, mask, photo, use
from tests.support.tiny_project import run

VALID = [
    "two words", " spaces around ", 'double"quote', "single'quote", "a,comma;and|bars", "Straße", "e\u0301",
    "\u00e9", "日本語", "🚗", "00001", "1e5", "NA", "nan", "#5", "-rf", "$(touch owned)", "`x`", "100%", "{stem}", "[a]*",
    "back\\slash", "dots...", "CON", "=1+1", "ä" * 100,
]  # fmt: skip


@pytest.mark.slow
def test_all_stages_accept_every_printable_name(stage: Stage) -> None:
    for path in [*Path("raw/source").rglob("*.png"), *Path("raw/target").rglob("*.png")]:
        path.unlink()
    draw({"source": VALID, "target": VALID, "val": []})
    for job in ("check", "preprocess@source", "preprocess@target", "train_source"):
        stage.run(job)
    stage.run("score", model=MODEL)
    stage.run("rank")
    stage.run("pseudo_label")
    for table in ("data/preprocess/source/index.csv", "data/preprocess/target/index.csv"):
        assert set(tables.read(Path(table), tables.INDEX)["id"]) == set(VALID)
    assert set(tables.read(Path("results/rank/split.csv"), tables.SPLIT)["image"]) == set(VALID)
    easy = tables.read(Path("results/pseudo_label/easy.csv"), tables.INDEX)["id"]
    assert {path.stem for path in Path("results/pseudo_label/labels").iterdir()} == set(easy)
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    "name", ["line\nbreak", "carriage\rreturn", "tab\there", "bell\a", "line\u2028separator", "ä" * 101]
)
@pytest.mark.parametrize("job", ["check", "preprocess@source"])
def test_a_name_with_control_characters_or_more_than_200_bytes_is_refused(
    stage: Stage, job: str, name: str
) -> None:
    photo(Path(f"raw/source/photos/{name}.png"))
    mask(Path(f"raw/source/masks/{name}.png"))
    message = stage.refuses(
        job, f"the id {name!r}", "printable characters, at most 200 bytes", "rename the file"
    )
    assert len(message.splitlines()) == 3  # the name in the message has no line break


def test_a_name_that_is_not_utf_8_is_refused(stage: Stage) -> None:
    PHOTO.rename(os.fsdecode(b"raw/source/photos/caf\xe9.png"))
    stage.refuses("check", r"'caf\udce9'", "printable characters", "rename the file")


def test_a_folder_name_with_a_line_break_is_refused(stage: Stage) -> None:
    photo(Path("raw/source/photos/one\ntwo/d.png"))
    stage.refuses("check", r"the id 'one\ntwo__d'", "rename the file")


def test_two_images_with_the_same_name_are_refused(stage: Stage) -> None:
    photo(PHOTO.with_suffix(".jpg"))
    stage.refuses(
        "check", "raw/source/photos/b.", "both would be called b", "one image for each name", "move one"
    )


def test_two_images_with_the_same_id_are_refused(stage: Stage) -> None:
    photo(Path("raw/target/photos/x/y.png"))
    photo(Path("raw/target/photos/x__y.png"))
    stage.refuses("check", "raw/target/photos/x", "the id x__y, as", "one id for each image", "rename one")


def test_two_cities_with_the_same_file_name_are_refused(stage: Stage) -> None:
    for city in ("ulm", "bonn"):
        photo(Path(f"raw/cities/leftImg8bit/train/{city}/1_leftImg8bit.png"))
    use(
        preprocess__target__dataset="cityscapes", preprocess__target__root="raw/cities",
        preprocess__target__split="train", preprocess__target__options={},
    )  # fmt: skip
    stage.refuses("check", "1_leftImg8bit.png: the id 1, as", "one id for each image")


def test_names_that_differ_only_in_case_are_two_images(stage: Stage) -> None:
    photo(PHOTO.with_name("B.PNG"))
    mask(Path("raw/source/masks/B.png"))
    stage.run("check")
    stage.run("preprocess@source")
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert index["id"].tolist() == ["B", "a", "b", "c"]


def test_hidden_files_such_as_those_of_macos_are_ignored(stage: Stage) -> None:
    PHOTO.with_name("._b.png").write_bytes(b"resource fork")
    PHOTO.with_name(".DS_Store").write_bytes(b"")
    Path("raw/source/masks/._b.png").write_bytes(b"resource fork")
    stage.run("check")


def test_a_class_with_a_line_break_in_its_name_is_refused(stage: Stage) -> None:
    use(classes=["sky", "road", {"name": "car\n", "color": [1, 2, 3]}])
    stage.refuses("check", "params.yaml, classes: ", r"the name 'car\n'", "printable text")


def test_shell_metacharacters_in_a_label_pattern_are_not_executed(stage: Stage) -> None:
    Path("raw/source/masks").rename("raw/source/$(touch owned) masks")
    use(preprocess__source__options={**OPTIONS, "labels": "$(touch owned) masks/{stem}.png"})
    assert run("check") == 0
    assert not Path("owned").exists()
