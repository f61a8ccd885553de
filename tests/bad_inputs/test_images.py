"""Invalid image files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from intrada.core import files
from tests.core.test_files_images import raw_png
from tests.support.bad_inputs_tree import MASK, PHOTO, Stage, photo

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
    "a folder": (folder, "1 labels have no image"),
    "a missing file": (lambda path: path.unlink(), "1 labels have no image"),
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
    stage.run("check")  # check reads only the headers
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


def test_a_damaged_preprocessed_image_is_refused_by_training_and_score(
    stage: Stage,
) -> None:
    image = Path("data/preprocess/source/images/b.png")
    cut(image)
    stage.refuses("train_source", f"{image}: ", "runcated", "if a stage wrote it, run that stage again")
    image = Path("data/preprocess/target/images/q.png")
    image.write_bytes(b"")
    stage.refuses(
        "score",
        f"{image}: ",
        "0 bytes",
        "run that stage again",
        model="results/train_source/last.safetensors",
    )
