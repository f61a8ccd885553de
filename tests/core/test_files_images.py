from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from intrada.core import files
from intrada.core.errors import UserError

PALETTE = [128, 64, 128, 70, 130, 180]


def png(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def raw_png(path: Path, depth: int, kind: int, rows: list[bytes], width: int) -> Path:
    """Write a PNG of a depth that Pillow cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


# ---------------------------------------------------------------- images


def test_an_image_survives_a_round_trip_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    files.write_image(tmp_path / "a.png", bgr)
    files.write_image(tmp_path / "b.png", bgr)
    assert np.array_equal(files.read_image(tmp_path / "a.png"), bgr)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert files.image_size(tmp_path / "a.png") == (7, 5)


def test_pngs_without_and_with_compression_hold_the_same_pixels(tmp_path: Path) -> None:
    bgr = np.stack([np.add.outer(np.arange(60), np.arange(80))] * 3, 2).astype(np.uint8)
    sizes = []
    for storage in ("png_uncompressed", "png"):
        files.write_image(tmp_path / f"{storage}.png", bgr, storage)
        assert np.array_equal(files.read_image(tmp_path / f"{storage}.png"), bgr)
        sizes.append((tmp_path / f"{storage}.png").stat().st_size)
    assert sizes[0] > bgr.size > 2 * sizes[1]


@pytest.mark.parametrize(
    "options", [{}, {"transparency": (1, 2, 3)}, {"icc_profile": b"none"}, {"dpi": (72, 72)}]
)
def test_a_colour_png_has_the_pixels_that_pillow_reads(tmp_path: Path, options: dict[str, object]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    pixels[0] = 1, 2, 3
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", 100000))
    Image.fromarray(pixels).save(tmp_path / "a.png", pnginfo=info, **options)
    assert np.array_equal(files.read_image(tmp_path / "a.png"), pixels[:, :, ::-1])


@pytest.mark.parametrize("storage", ["png_uncompressed", "png"])
@pytest.mark.parametrize("position", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("cut", [True, False])
def test_a_corrupt_or_truncated_image_is_refused(
    tmp_path: Path, storage: str, position: float, cut: bool
) -> None:
    bgr = np.random.default_rng(2).integers(0, 256, (60, 70, 3), np.uint8)
    files.write_image(tmp_path / "a.png", bgr, storage)
    data = bytearray((tmp_path / "a.png").read_bytes())
    index = int(position * len(data))
    data[index] ^= 255
    (tmp_path / "a.png").write_bytes(data[:index] if cut else data)
    with pytest.raises(UserError, match="a.png"):
        files.read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "mode, color, bgr",
    [
        ("RGB", (1, 2, 3), (3, 2, 1)),
        ("RGBA", (1, 2, 3, 0), (3, 2, 1)),
        ("L", 9, (9, 9, 9)),
        ("LA", (9, 0), (9, 9, 9)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_every_kind_of_image_is_read_as_bgr(
    tmp_path: Path, mode: str, color: tuple[int, ...], bgr: tuple[int, ...]
) -> None:
    Image.new(mode, (3, 2), color).save(tmp_path / "a.png")
    image = files.read_image(tmp_path / "a.png")
    assert image.shape == (2, 3, 3) and image.dtype == np.uint8 and image.flags.c_contiguous
    assert np.unique(image.reshape(-1, 3), axis=0).tolist() == [list(bgr)]


def test_a_palette_image_is_read_by_its_colours(tmp_path: Path) -> None:
    files.write_label(tmp_path / "a.png", np.ones((2, 2), np.uint8), PALETTE)
    assert files.read_image(tmp_path / "a.png")[0, 0].tolist() == [180, 130, 70]


@pytest.mark.parametrize("read", [files.read_image, files.image_size, files.read_label])
def test_16_bits_are_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    grey = png(tmp_path / "grey.png", np.full((2, 2), 300, np.uint16))
    color = raw_png(tmp_path / "color.png", 16, 2, [bytes(12)] * 2, 2)
    for path in (grey, color):
        with pytest.raises(UserError, match="16 bits a channel"):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    png(path, np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    whole = path.read_bytes()
    for length in (3, 30, len(whole) // 2, len(whole) - 20, len(whole) - 12):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=rf"a\.{suffix}: "):
            files.read_image(path)


@pytest.mark.parametrize("read", [files.read_image, files.read_label, files.image_size])
def test_the_error_says_why_a_path_is_not_an_image(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    for name, found in {
        "missing": "no such file",
        "empty": "0 bytes",
        "text": "cannot identify",
        "folder": "a folder, but a file is expected",
    }.items():
        with pytest.raises(UserError, match=rf"{name}\.png: .*{found}"):
            read(tmp_path / f"{name}.png")


# ---------------------------------------------------------------- label maps


def test_a_label_map_survives_a_round_trip_with_every_value_and_a_short_palette(tmp_path: Path) -> None:
    label = np.arange(256, dtype=np.uint8).reshape(16, 16)
    files.write_label(tmp_path / "a.png", label, PALETTE)
    files.write_label(tmp_path / "b.png", label, PALETTE)
    assert np.array_equal(files.read_label(tmp_path / "a.png"), label)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("depth, values", [(1, [1, 0, 1, 1]), (2, [0, 1, 2, 3]), (4, [0, 7, 11, 15])])
def test_grey_of_few_bits_is_not_scaled(tmp_path: Path, depth: int, values: list[int]) -> None:
    bits = "".join(f"{value:0{depth}b}" for value in values).ljust(16, "0")
    row = bytes(int(bits[i : i + 8], 2) for i in (0, 8))[: (len(values) * depth + 7) // 8]
    path = raw_png(tmp_path / "a.png", depth, 0, [row], len(values))
    assert files.read_label(path).tolist() == [values]


def test_8_bit_grey_is_read_unchanged(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.array([[0, 33, 255]], np.uint8))
    assert files.read_label(path).tolist() == [[0, 33, 255]]


def test_the_error_for_colours_instead_of_ids_names_the_encoding(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(UserError, match=r"colours \(RGB\) where ids are expected[^$]*`encoding: rgb`"):
        files.read_label(path)
    with pytest.raises(UserError, match="JPEG"):
        files.read_label(png(tmp_path / "a.jpg", np.zeros((2, 2), np.uint8)))


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), np.int64), np.zeros((2, 2, 4), np.uint8)])
def test_writing_an_array_of_another_shape_or_dtype_is_a_value_error(
    tmp_path: Path, wrong: np.ndarray
) -> None:
    with pytest.raises(ValueError):
        files.write_image(tmp_path / "a", wrong)
    with pytest.raises(ValueError):
        files.write_label(tmp_path / "a", wrong, PALETTE)


# ---------------------------------------------------------------- decompression bombs

READERS = [files.read_image, files.image_size, files.read_label]


@pytest.mark.parametrize("read", READERS)
def test_a_small_file_of_a_huge_image_is_refused_before_it_is_decoded(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    """Pillow's limit, twice MAX_IMAGE_PIXELS: 179 million pixels."""
    path = raw_png(tmp_path / "a.png", 8, 0, [b"\0"], 1)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 13400, 13400)  # width and height
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: Image size \(179560000 pixels\) exceeds limit"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_text_in_an_image_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    text = PngInfo()
    text.add_text("comment", "a" * 2**22, zip=True)
    Image.new("L", (2, 2)).save(tmp_path / "a.png", pnginfo=text)
    with pytest.raises(UserError, match=r"a\.png: Decompressed data too large"):
        read(tmp_path / "a.png")
