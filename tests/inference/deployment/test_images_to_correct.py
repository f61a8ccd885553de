"""Which images and frames `predict --format` writes for a person to correct, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from intrada.core import files
from tests.support.predicting import OUT, picture, predict, unpacked
from tests.support.predicting import photographs as photographs
from tests.support.trained_model import SIZE


def test_the_hardest_images_are_those_of_the_highest_entropy(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("photos", "--format", "cvat", "--hardest", "2") == 0
    table = files.read_csv(OUT / "predictions.csv")
    easiest = table["image"][table["entropy"].idxmin()]
    expected = [name for name in table["image"] if name != easiest]
    assert len(expected) == 2
    inside = unpacked(OUT / "cvat.zip")
    assert inside["ImageSets/Segmentation/default.txt"].decode().splitlines() == expected
    assert {Path(name).with_suffix("").as_posix() for name in unpacked(OUT / "images.zip")} == set(expected)
    assert "2 images of the highest entropy to correct: out/images.zip" in capsys.readouterr().out
    assert predict("photos", "--format", "coco", "--hardest", "9") == 0
    assert len(json.loads((OUT / "coco.json").read_text())["images"]) == 3


def test_images_that_cannot_be_read_are_no_images_to_correct(photographs: Path) -> None:
    for path in Path("photos").rglob("*.*"):
        path.write_bytes(b"")
    assert predict("photos", "--format", "coco") == 1
    tree = json.loads((OUT / "coco.json").read_text())
    assert (tree["images"], tree["annotations"]) == ([], [])


def test_frames_of_a_video_are_images_to_correct(photographs: Path) -> None:
    writer = cv2.VideoWriter("street.avi", cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for number in range(6):
        writer.write(np.ascontiguousarray(picture(0)) // np.uint8(number + 1))
    writer.release()
    assert predict("street.avi", "photos", "--every", "2", "--format", "coco", "--hardest", "5") == 0
    table = files.read_csv(OUT / "predictions.csv").nlargest(5, "entropy")
    inside = unpacked(OUT / "images.zip")
    assert {name.rpartition(".")[0] for name in inside} == set(table["image"])
    capture = cv2.VideoCapture("street.avi")
    decoded = {f"street/{number:06d}": capture.read()[1] for number in range(6)}
    shown = [name for name in table["image"] if name in decoded]
    assert len(shown) >= 2
    for name in shown:
        found = cv2.imdecode(np.frombuffer(inside[f"{name}.png"], np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(found, decoded[name])


def test_a_table_of_paths_names_the_images(photographs: Path) -> None:
    Path("suggested.csv").write_text("image,path,entropy\nb,photos/night/b.PNG,0.5\na,photos/a.jpg,0.4\n")
    assert predict("suggested.csv", "--format", "cvat") == 0
    assert files.read_csv(OUT / "predictions.csv")["image"].tolist() == ["night/b", "a"]
    assert set(unpacked(OUT / "images.zip")) == {"a.jpg", "night/b.png"}


@pytest.mark.parametrize(
    "text, found",
    [
        ("image,entropy\na,0.5\n", "no column path"),
        ("path\n", "no image or video"),
        ("path\nnotes.txt\n", "no image or video"),
        (None, "no such file"),
    ],
)
def test_a_table_without_images_is_refused(
    photographs: Path, text: str | None, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        Path("table.csv").write_text(text)
    assert predict("table.csv") == 1
    err = capsys.readouterr().err
    assert "table.csv" in err and found in err


def test_an_image_of_a_table_that_is_missing_is_listed_as_failed(photographs: Path) -> None:
    Path("table.csv").write_text("path\nphotos/a.jpg\nphotos/gone.jpg\n")
    assert predict("table.csv") == 1
    assert files.read_csv(OUT / "predictions.csv")["image"].tolist() == ["a"]
    assert files.read_csv(OUT / "predictions.failed.csv")["image"].tolist() == ["gone"]


def test_hardest_without_a_format_is_refused(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("photos", "--hardest", "2") == 1 and not OUT.exists()
    assert "error: --hardest: 2 without --format coco or --format cvat" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--format", "yolo"), ("--hardest", "0")])
def test_a_wrong_value_is_refused(
    photographs: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("photos", *option) == 1
    assert f"error: {option[0]}: '{option[1]}'\n  allowed: " in capsys.readouterr().err


def test_two_runs_write_the_same_bytes(photographs: Path) -> None:
    results = []
    for workers in ("1", "3"):
        assert predict("photos", "--format", "cvat", "--workers", workers) == 0
        results.append({path.name: path.read_bytes() for path in OUT.iterdir() if path.is_file()})
    assert results[0] == results[1] and len(results[0]) == 5
