"""The stage check: all faults of all domains at once, before anything is removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intrada.core import files
from intrada.data.datasets import check_cache, faults
from tests.support import bad_inputs_tree, tiny_project
from tests.support.bad_inputs_tree import OPTIONS, Stage, mask, photo, use

STAMP, FOUND = Path("results/check/stamp.json"), Path("results/check/found.json")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory: the raw data of a small project."""
    monkeypatch.chdir(tmp_path)
    use()
    bad_inputs_tree.draw()


@pytest.fixture
def stage(capsys: pytest.CaptureFixture[str]) -> Stage:
    return Stage(capsys)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_three_broken_images_among_many_are_all_named(stage: Stage) -> None:
    content = Path("raw/target/photos/p.png").read_bytes()
    for number in range(200):
        Path(f"raw/target/photos/{number:03d}.png").write_bytes(content)
    broken = [Path(f"raw/target/photos/{number:03d}.png") for number in (7, 99, 180)]
    for path in broken:
        cut(path)
    stage.refuses("check", "3 faults: 3 in target", *(f"{path}: " for path in broken))


def test_faults_of_all_domains_are_in_one_error_and_in_a_file(stage: Stage) -> None:
    stage.run("check")
    before = STAMP.read_bytes(), FOUND.read_bytes()
    cut(Path("raw/source/photos/a.png"))
    mask(Path("raw/source/masks/b.png"), values=(0, 9))
    photo(Path("raw/source/photos/c.png"), (32, 64))
    Path("raw/target/photos/r.png").write_bytes(b"")
    Path("raw/val/masks/x.png").unlink()
    message = stage.refuses(
        "check",
        "raw data: 5 faults: 3 in source, 1 in target, 1 in val",
        "a.png: ", "unknown id 9", "64x32 pixels, its image has 32x64", "r.png: an empty file",
        "and faults of 1 other kinds", "correct them all", "logs/check_faults.txt",
    )  # fmt: skip
    listed = faults.LISTING.read_text()
    assert (
        "raw/val/photos/x.png: no label raw/val/masks/x.png" in listed and "raw/source/photos/a.png" in listed
    )
    assert "x.png" not in message and (STAMP.read_bytes(), FOUND.read_bytes()) == before
    bad_inputs_tree.draw()
    stage.run("check")
    assert not faults.LISTING.exists()


def test_a_long_list_is_shortened_on_the_screen_and_whole_in_the_file(stage: Stage) -> None:
    for number in range(30):
        Path(f"raw/target/photos/icon{number}.png").write_text("no image")
    stage.refuses("check", "30 faults", "and 25 more", "narrow the option `images`", "the option `exclude`")
    assert sum("icon" in line for line in faults.LISTING.read_text().splitlines()) == 30
    use(preprocess__target__options=OPTIONS | {"exclude": ["photos/icon*"]})
    stage.run("check")
    assert json.loads(FOUND.read_text())["target"]["excluded"] == 30


@pytest.mark.parametrize("labels", ["mask/{stem}.png", "masks/{stem}_id.png"])
def test_a_label_pattern_of_the_evaluation_data_that_matches_nothing_is_an_error(
    stage: Stage, labels: str
) -> None:
    use(preprocess__val__options=OPTIONS | {"labels": labels})
    stage.refuses("check", "2 faults: 2 in val", "2 of 2 images have none", "masks", "`labels: null`")
    shutil.rmtree("raw/val/masks")
    use(preprocess__val__options=OPTIONS | {"labels": None})
    stage.run("check")
    assert json.loads(FOUND.read_text())["val"]["labelled"] == 0


def test_preprocess_alone_refuses_missing_labels_too(stage: Stage) -> None:
    shutil.rmtree("raw/val/masks")
    stage.refuses("preprocess@val", "raw/val: 2 faults", "2 of 2 images have none")
    Path("raw/source/masks/a.png").unlink()
    stage.refuses("preprocess@source", "a.png: no label raw/source/masks/a.png")


def test_a_source_needs_the_option_labels(stage: Stage) -> None:
    use(preprocess__source__options=OPTIONS | {"labels": None})
    stage.refuses("check", "raw/source: `labels: null`", "a source with labels", "set the option `labels`")


def test_labels_and_images_with_endings_in_capitals_are_found(stage: Stage) -> None:
    for path in [*Path("raw").rglob("*.png")]:
        path.rename(path.with_suffix(".PNG"))
    for job in ("check", "preprocess@source", "preprocess@val"):
        stage.run(job)
    assert json.loads(FOUND.read_text())["val"]["labelled"] == 2


def test_files_that_are_left_out_are_told(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.JPG", "b.tif"):
        Path("raw/target/photos", name).touch()
    use(preprocess__target__options=OPTIONS | {"images": "photos/*.png"})
    stage.run("check")
    text = "target: 2 files do not match photos/*.png and are left out: 'photos/a.JPG', 'photos/b.tif'"
    assert text in capsys.readouterr().err
    assert json.loads(FOUND.read_text())["target"]["left_out"] == 2


def test_valid_data_are_summed_up_and_invalid_data_are_not(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("raw/val/masks")
    use(preprocess__val__options=OPTIONS | {"labels": None})
    stage.run("check")
    thirds = "sky 33.3%, road 33.3%, car 33.3%"  # a quarter of each mask belongs to no class
    assert capsys.readouterr().err.splitlines()[-3:] == [
        f"check: source: 3 images, 3 labels: {thirds}",
        "check: target: 4 images, 4 labels",  # which nobody reads
        "check: val: 2 images, no labels",
    ]
    cut(Path("raw/source/photos/a.png"))
    assert " images, " not in stage.refuses("check", "a.png: ")


def test_a_target_without_the_labels_of_its_pattern_is_told(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("raw/target/masks")
    stage.run("check")
    assert "target: no label at raw/target/masks/{stem}.png" in capsys.readouterr().err


def test_a_label_of_16_bits_is_told_how_to_convert(stage: Stage) -> None:
    Image.fromarray(np.ones((32, 64), np.uint16)).save("raw/val/masks/x.png")
    stage.refuses("check", "x.png: 16 bits a channel", "where 8 are expected", "if no id is above 255")


def test_an_invalid_option_of_one_domain_does_not_hide_faults_of_another(stage: Stage) -> None:
    cut(Path("raw/source/photos/a.png"))
    use(preprocess__val__options=OPTIONS | {"exclude": "old"}, preprocess__target__split="range:9:")
    stage.refuses("check", "3 faults", "a.png: ", "exclude: 'old'", "'range:9:' selects none")


def test_a_second_check_decodes_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = check_cache.time.time_ns
    monkeypatch.setattr(check_cache.time, "time_ns", lambda: clock() + 60 * 10**9)
    stage.run("check")
    found = FOUND.read_bytes()
    monkeypatch.setattr(files, "open_image", None)
    assert tiny_project.run("check") == 0 and FOUND.read_bytes() == found
