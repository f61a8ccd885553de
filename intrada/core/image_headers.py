"""What the headers of image files say and Pillow does not: the depth of a PNG, the EXIF orientation."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

PNG_GREY, _PNG_PALETTE = 0, 3  # colour types in the PNG header
_PNG_START = 8  # bytes of the signature
_HEAD = struct.Struct(">I4s")  # length and name of a chunk
_ORIENTATION = 0x0112
_TURNED = range(2, 9)  # 1 is upright, 0 means unknown; every other value is invalid
# Text chunks in which other programs store EXIF or XMP data
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_KEYWORDS = (b"Raw profile type exif", b"XML:com.adobe.xmp")
# First bytes of formats that are often saved under the name of another
_OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"%PDF": "PDF",
}


def png_header(path: Path) -> tuple[int, int]:
    """Return (bits a channel, colour type) of a PNG; (8, -1) for another file."""
    with path.open("rb") as handle:
        head = handle.read(26)
    return (head[24], head[25]) if head.startswith(b"\x89PNG") and len(head) == 26 else (8, -1)


def other_format(path: Path) -> str:
    """Return the name of the format of a file that is neither PNG nor JPEG; "" if it is not known."""
    with path.open("rb") as handle:
        head = handle.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"heic": "HEIC", b"mif1": "HEIF"}.get(head[8:], "")
    return next((name for start, name in _OTHERS.items() if head.startswith(start)), "")


def orientation(image: Image.Image, path: Path) -> int:
    """Return the EXIF orientation 2..8 of an open PNG or JPEG; 1 if it is upright or says nothing.

    Invalid values and invalid EXIF data count as upright, as in all viewers. Raises OSError for a PNG whose
    end is missing, which OpenCV reads without an error, and what Pillow raises if pixels cannot be decoded.
    """
    if image.format != "PNG":
        return _turned(image)
    chunks = list(_chunks(path, dict.fromkeys(_TEXT_CHUNKS, 32)))
    if not chunks or chunks[-1][0] != b"IEND":
        raise OSError("image file is truncated: its end is missing")
    if not any(kind == b"eXIf" or start.startswith(_KEYWORDS) for kind, start in chunks):
        return 1
    # The chunk may follow the pixels, so they are decoded; on a copy, because a decoded file is closed.
    with Image.open(path, formats=("PNG",)) as copy:
        copy.load()
        return _turned(copy)


def _turned(image: Image.Image) -> int:
    try:
        value: Any = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises many types for invalid EXIF data
        return 1
    return int(value) if value in _TURNED else 1


def palette(path: Path) -> bytes:
    """Return the palette of a PNG, red, green and blue of the indices 0, 1, ...; b"" without a palette."""
    if png_header(path)[1] != _PNG_PALETTE:
        return b""
    return next((data for kind, data in _chunks(path, {b"PLTE": 768}) if kind == b"PLTE"), b"")


def _chunks(path: Path, wanted: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name of each chunk of a PNG up to its end, with as many first bytes as `wanted` says."""
    with path.open("rb", buffering=0) as handle:
        file, offset = handle.fileno(), _PNG_START
        while len(head := os.pread(file, _HEAD.size, offset)) == _HEAD.size:
            length, kind = _HEAD.unpack(head)
            offset += _HEAD.size
            yield kind, os.pread(file, min(length, wanted[kind]), offset) if kind in wanted else b""
            if kind == b"IEND":
                return
            offset += length + 4  # 4: the checksum
