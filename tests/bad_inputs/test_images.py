"""Invalid image files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from intrada.__main__ import main
from intrada.core import files
from tests.core.test_files_images import raw_png
from tests.support.bad_inputs_tree import MASK, MODEL, PHOTO, Stage, photo

TARGET = Path("raw/target/photos/q.png")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def saved(mode: str, size: tuple[int, int] = (64, 32), kind: str = "PNG") -> Callable[[Path], None]:
    return lambda path: Image.new(mode, size).save(path, format=kind)


def rotated_by_exif(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32)).save(path, format="JPEG", exif=exif)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


INVALID: dict[str, tuple[Callable[[Path], object], str]] = {
    "zero bytes": (lambda path: path.write_bytes(b""), "an empty file (0 bytes)"),
    "cut within the header": (lambda path: path.write_bytes(path.read_bytes()[:30]), "cannot identify"),
    "text": (lambda path: path.write_text("no image"), "cannot identify image file"),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html><html></html>"), "cannot identify"),
    "a GIF with the extension png": (saved("P", kind="GIF"), "a GIF file, which is not read"),
    "16-bit grey": (lambda path: Image.new("I;16", (64, 32)).save(path), "16 bits a channel"),
    "16-bit colour": (lambda path: raw_png(path, 16, 2, [bytes(384)] * 32, 64), "16 bits a channel"),
    "an EXIF rotation": (rotated_by_exif, "an EXIF orientation"),
    "another shape than its label": (saved("RGB", (32, 64)), "64x32 pixels, its image has 32x64"),
    "a folder": (folder, "no image has this label"),
    "a missing file": (lambda path: path.unlink(), "no image has this label"),
}


@pytest.mark.parametrize("name", INVALID)
def test_check_refuses_an_invalid_source_image(stage: Stage, name: str) -> None:
    damage, message = INVALID[name]
    damage(PHOTO)
    stage.refuses("check", "raw/source/", "b.png: ", message)


@pytest.mark.parametrize(
    "name", [name for name in INVALID if "label" not in INVALID[name][1] and "its" not in name]
)
def test_preprocess_refuses_an_invalid_target_image(stage: Stage, name: str) -> None:
    damage, message = INVALID[name]
    damage(TARGET)
    stage.refuses("preprocess@target", str(TARGET), message, "PNG or JPEG image, 8 bits")


@pytest.mark.parametrize("domain, path", [("source", PHOTO), ("target", TARGET)])
def test_preprocess_refuses_a_truncated_image_with_a_valid_header(
    stage: Stage, domain: str, path: Path
) -> None:
    cut(path)
    stage.refuses("check", f"{path}: ", "runcated", "fix or replace it; or leave the image out: narrow")
    stage.refuses(f"preprocess@{domain}", f"{path}: ", "runcated", "PNG or JPEG")


def test_preprocess_refuses_an_image_with_a_flipped_byte(stage: Stage) -> None:
    data = bytearray(PHOTO.read_bytes())
    data[len(data) // 2] ^= 0xFF
    PHOTO.write_bytes(data)
    stage.refuses("preprocess@source", f"{PHOTO}: ", "PNG or JPEG")


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_grey_transparent_and_palette_images_are_valid(stage: Stage, mode: str) -> None:
    saved(mode)(PHOTO)
    saved(mode)(TARGET)
    for job in ("check", "preprocess@source", "preprocess@target"):
        stage.run(job)
    assert files.read_image(Path("data/preprocess/source/images/b.png")).shape == (32, 64, 3)


def test_images_of_other_sizes_are_resized_and_a_label_may_have_another_scale(stage: Stage) -> None:
    photo(PHOTO, (128, 64))
    photo(TARGET, (30, 90))
    for job in ("check", "preprocess@source", "preprocess@target"):
        stage.run(job)
    assert files.image_size(MASK) == (64, 32)
    assert {files.image_size(path) for path in Path("data/preprocess").rglob("images/*.png")} == {(64, 32)}


def test_a_damaged_preprocessed_image_is_refused_by_training(stage: Stage) -> None:
    image = Path("data/preprocess/source/images/b.png")
    cut(image)
    stage.refuses("train_source", f"{image}: ", "runcated", "if a stage wrote it, run that stage again")


OWN = ("mine/q.png", "mine/r.png", "mine/s.png")


def score(*extra: str, out: str = "own") -> int:
    """Score images that no stage wrote, by an index of one's own, into `out`; return the exit status."""
    if not Path("mine").exists():
        shutil.copytree("data/preprocess/target/images", "mine")
        index = files.read_csv(Path("data/preprocess/target/index.csv"))
        files.write_csv(
            Path("mine/index.csv"), index.assign(image=[f"mine/{name}.png" for name in index["id"]])
        )
    outs = {"out": "scores.csv", "predictions": "predictions", "confidence": "confidence"}
    words = [word for key, name in outs.items() for word in (f"--{key}", f"{out}/{name}")]
    return main(["score", "--target", "mine/index.csv", "--model", MODEL, *words, *extra])


def test_images_that_cannot_be_scored_are_listed_all_others_are_scored_and_rank_refuses_the_table(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(out="whole") == 0
    whole = files.read_csv(Path("whole/scores.csv")).set_index("image")
    records = sorted(Path("logs/provenance/jobs").rglob("*.json"))
    contents = [Path(path).read_bytes() for path in OWN]
    cut(Path(OWN[0]))
    Path(OWN[1]).write_bytes(b"")
    photo(Path(OWN[2]), (32, 32))
    assert score() == 1
    err = capsys.readouterr().err
    assert "own/scores.failed.csv: 3 of 4 files cannot be used" in err and "--strict" in err
    assert "mine/q.png: " in err and "mine/r.png: an empty file" in err
    assert "mine/s.png: 32x32 pixels, the index says 64x32" in err
    failed = files.read_csv(Path("own/scores.failed.csv"))
    assert failed["image"].tolist() == ["q", "r", "s"] and failed["path"].tolist() == list(OWN)
    rest = files.read_csv(Path("own/scores.csv")).set_index("image")
    pd.testing.assert_frame_equal(rest, whole.loc[["p"]], rtol=1e-4)
    for folder in ("own/predictions", "own/confidence"):
        assert [path.name for path in files.list_files(Path(folder))] == ["p.png"]
    assert sorted(Path("logs/provenance/jobs").rglob("*.json")) == records
    assert json.loads(Path("logs/execution.jsonl").read_text().splitlines()[-1])["outcome"] == "failed"

    rank = ["rank", "--scores", "own/scores.csv", "--out", "own/split.csv"]
    assert main(rank) == 1
    err = capsys.readouterr().err
    assert "own/scores.csv: 3 images are missing, as own/scores.failed.csv says: q, r, s" in err
    for path, content in zip(OWN, contents, strict=True):
        Path(path).write_bytes(content)
    stale = Path("own/scores.failed.csv").read_bytes()
    assert score() == 0 and not Path("own/scores.failed.csv").exists()
    Path("own/scores.failed.csv").write_bytes(stale)  # as after the whole table came out of DVC's cache
    assert main(rank) == 0


def test_with_strict_the_first_image_that_cannot_be_scored_stops_the_stage(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score() == 0
    before = {path: path.read_bytes() for path in files.list_files(Path("own"))}
    for path in OWN[:2]:
        cut(Path(path))
    assert score("--strict") == 1
    err = capsys.readouterr().err
    assert "error: mine/q.png: " in err and "mine/r.png" not in err
    assert {path: path.read_bytes() for path in files.list_files(Path("own"))} == before
