"""The command predict on images and videos that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from intrada.core import files
from tests.support.predicting import OUT, film, predict, put, written
from tests.support.predicting import model as model  # a fixture
from tests.support.trained_model import SIZE


def break_images(folder: Path) -> dict[str, str]:
    """Add images that cannot be read to `folder`; return the reason of each by its name."""
    whole = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.JPG").touch()
    (folder / "text.jpeg").write_text("no image")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(folder / "turned.jpg", exif=exif)
    Image.new("I;16", SIZE).save(folder / "deep.png")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "two\nlines.png").write_bytes(whole)
    return {
        "cut": "truncated",
        "empty": "an empty file (0 bytes)",
        "text": "cannot identify image file",
        "turned": "an EXIF orientation (6)",
        "deep": "16 bits a channel",
        "folder": "a folder, but a file is expected",
        "gone": "a link to nowhere.png, which does not exist",
        "loop": "a link to loop.png",
        "pipe": "a pipe, a socket or a device",
        "two\\nlines": "a name that no result can have",
    }


@pytest.mark.parametrize("word", ["data", "data/*"])
def test_images_that_cannot_be_read_are_listed_and_all_others_are_predicted(
    model: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("data/good.png", 1)
    put("data/sub/late.png", 2)
    reasons = break_images(Path("data"))
    assert predict(word, "--batch-size", "2") == 1
    out, err = capsys.readouterr()
    assert set(files.read_csv(OUT / "predictions.csv")["image"]) == {"good", "sub/late"}
    assert written("overlay") == {"good", "sub/late"} and "2 images and frames" in out
    failed = files.read_csv(OUT / "predictions.failed.csv").set_index("image")
    assert len(failed) == len(reasons)
    for name, reason in reasons.items():
        [row] = [failed.loc[image] for image in failed.index if name in image]
        assert reason in row["reason"] and name in row["path"] and row["fix"]
        assert reason in err
    assert "\nerror: out/predictions.failed.csv: 10 of 12 files cannot be used, as above; the results" in err
    assert "\n  allowed: " in err and "--strict stops" in err and "\x1b" not in err


def test_a_run_without_failures_removes_the_list_of_an_earlier_one(model: Path) -> None:
    put("data/good.png")
    Path("data/bad.png").touch()
    assert predict("data") == 1 and (OUT / "predictions.failed.csv").exists()
    Path("data/bad.png").unlink()
    assert predict("data") == 0 and not (OUT / "predictions.failed.csv").exists()


def test_with_strict_the_first_image_that_cannot_be_read_stops_the_run(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put("data/a.png")
    for name in ("b", "c"):
        Path(f"data/{name}.png").touch()
    assert predict("data", "--strict") == 1
    err = capsys.readouterr().err
    assert "\nerror: " in err and "b.png: an empty file" in err and "c.png" not in err
    assert not (OUT / "predictions.csv").exists() and not (OUT / "predictions.failed.csv").exists()


def test_a_broken_video_does_not_end_a_run(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    film("street.avi", frames=2)
    Path("text.mp4").write_text("no video")
    os.mkfifo("pipe.mp4")
    film("frameless.avi")
    whole = Path("frameless.avi").read_bytes()
    start = whole.index(b"movi") + 4
    Path("frameless.avi").write_bytes(whole[:start] + bytes(len(whole) - start))
    assert predict("text.mp4", "frameless.avi", "pipe.mp4", "photo.png", "street.avi") == 1
    names = files.read_csv(OUT / "predictions.csv")["image"].tolist()
    assert names == ["photo", "street/000000", "street/000001"] and (OUT / "street_overlay.mp4").exists()
    failed = files.read_csv(OUT / "predictions.failed.csv")["image"].tolist()
    assert failed == ["text", "pipe", "frameless"] and not (OUT / "frameless_overlay.mp4").exists()
    assert "3 of 5 files" in capsys.readouterr().err


def test_the_message_on_many_failures_is_short_and_the_list_has_all(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data").mkdir()
    for number in range(30):
        Path(f"data/{number:02d}{'x' * 150}.png").touch()
    assert predict("data") == 1
    err = capsys.readouterr().err
    assert "30 of 30 files" in err and "and 20 more, all in out/predictions.failed.csv" in err
    assert max(map(len, err.splitlines())) < 400 and len(files.read_csv(OUT / "predictions.failed.csv")) == 30
    assert len(files.read_csv(OUT / "predictions.csv")) == 0
