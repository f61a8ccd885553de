"""EXIF orientation in every format and reader, and the depth and the format of other files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data.datasets.coding import read_colors
from intrada.data.datasets.synthia import first_channel

ORIENTATION = 0x0112
READERS: list[Callable[[Path], object]] = [files.read_image, files.image_size, read_colors]


def exif(value: Any) -> Image.Exif:
    data = Image.Exif()
    data[ORIENTATION] = value
    return data


def photo(path: Path, value: int, mode: str = "RGB", **options: Any) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, exif=exif(value), **options)
    return path


def add_chunk(path: Path, kind: bytes, data: bytes, last: bool = True) -> None:
    """Insert a chunk into a PNG: after the pixels, or before them."""
    content = path.read_bytes()
    at = len(content) - 12 if last else 33
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content[:at] + chunk + content[at:])


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("value", range(2, 9))
def test_an_image_that_viewers_turn_is_refused(tmp_path: Path, suffix: str, value: int) -> None:
    path = photo(tmp_path / f"a.{suffix}", value)
    for read in READERS:
        with pytest.raises(UserError, match=rf"an EXIF orientation \({value}\)[^$]*exif_transpose"):
            read(path)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_label_that_viewers_turn_is_refused(tmp_path: Path, mode: str) -> None:
    for read in (files.read_label, files.read_image):
        with pytest.raises(UserError, match="an EXIF orientation"):
            read(photo(tmp_path / "a.png", 8, mode))
    deep = tmp_path / "deep.png"
    cv2.imwrite(str(deep), np.full((2, 2, 3), 7, np.uint16))
    assert first_channel(deep).tolist() == [[7, 7], [7, 7]]
    add_chunk(deep, b"eXIf", exif(6).tobytes()[6:])
    with pytest.raises(UserError, match="an EXIF orientation"):
        first_channel(deep)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("value", [0, 1, 9, 65535])
def test_an_upright_image_has_the_pixels_of_the_file(tmp_path: Path, suffix: str, value: int) -> None:
    found = files.read_image(photo(tmp_path / f"a.{suffix}", value))
    expected = files.read_image(photo(tmp_path / f"b.{suffix}", 1))
    assert np.array_equal(found, expected) and found.shape == (8, 12, 3)


@pytest.mark.parametrize("last", [True, False])
def test_the_orientation_of_a_png_is_found_wherever_it_is(tmp_path: Path, last: bool) -> None:
    Image.new("RGB", (4, 2)).save(path := tmp_path / "a.png")
    upright = path.read_bytes()
    data = exif(6).tobytes()[6:]  # without the prefix that JPEG needs
    raw = f"\nexif\n{len(data)}\n{data.hex()}\n".encode()
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    for kind, content in {
        b"eXIf": data,
        b"zTXt": b"Raw profile type exif\0\0" + zlib.compress(raw),
        b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + xmp,
    }.items():
        path.write_bytes(upright)
        add_chunk(path, kind, content, last)
        with pytest.raises(UserError, match=r"an EXIF orientation \(6\)"):
            files.image_size(path)


def test_invalid_exif_data_and_other_texts_are_no_orientation(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("Comment", "Orientation 6")
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png", pnginfo=text)
    Image.new("RGB", (4, 2)).save(tmp_path / "b.png")
    add_chunk(tmp_path / "b.png", b"eXIf", b"MM\0*\0\0\0\x08\0\x09junk")
    Image.new("RGB", (4, 2)).save(tmp_path / "c.jpg", exif=b"Exif\0\0junk")
    for name in ("a.png", "b.png", "c.jpg"):
        assert files.image_size(tmp_path / name) == (4, 2) == files.read_image(tmp_path / name).shape[1::-1]


def test_the_recipe_for_a_turned_image_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        files.read_image(photo(Path("IN"), 6, format="JPEG"))
    exec(caught.value.fix.split('"')[1])  # noqa: S102, this is our own text
    assert files.read_image(Path("OUT.png")).shape == (12, 8, 3)


def test_a_label_of_16_bits_is_named_and_the_recipe_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.array([[0, 7, 255]], np.uint16)).save("IN", format="PNG")
    with pytest.raises(UserError, match="16 bits a channel .* where 8 are expected") as caught:
        files.read_label(Path("IN"))
    exec(caught.value.fix.split('"')[1])  # noqa: S102, this is our own text
    assert files.read_label(Path("OUT.png")).tolist() == [[0, 7, 255]]
    with pytest.raises(UserError, match="8 bits a channel .* where 16 are expected"):
        first_channel(Path("OUT.png"))


@pytest.mark.parametrize("name", ["WebP", "GIF", "BMP", "TIFF"])
def test_an_image_of_another_format_is_named(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png", format=name.upper())
    with pytest.raises(UserError, match=rf"a\.png: a {name} file, which is not read"):
        files.read_image(tmp_path / "a.png")
