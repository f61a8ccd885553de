"""What the headers of image files say and Pillow does not: the depth of a PNG, the EXIF orientation."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from PIL import Image

PNG_GREY = 0  # colour type in the PNG header
_PNG_START = 8  # bytes of the signature
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

    Invalid values and invalid EXIF data count as upright, as in all viewers. Raises what Pillow raises for a
    PNG whose pixels cannot be decoded.
    """
    if image.format != "PNG":
        return _turned(image)
    if not _may_have_exif(path):
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


def _may_have_exif(path: Path) -> bool:
    """Return whether a PNG has a chunk that can hold an orientation. The pixels are not read."""
    with path.open("rb", buffering=0) as handle:
        handle.seek(_PNG_START)
        while len(head := handle.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return True
            start = handle.read(min(length, 32)) if kind in _TEXT_CHUNKS else b""
            if start.startswith(_KEYWORDS):
                return True
            handle.seek(length - len(start) + 4, 1)  # 4: the checksum
    return False
