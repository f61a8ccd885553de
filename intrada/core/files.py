"""Read and write tables, images and label maps.

Every write is atomic (intrada/core/atomic.py). Reading a missing or broken file raises a UserError that names
the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from intrada.core import image_headers

# Other modules import the atomic writers from here.
from intrada.core.atomic import atomic_file as atomic_file
from intrada.core.atomic import atomic_folder as atomic_folder
from intrada.core.atomic import resumed_folder as resumed_folder
from intrada.core.atomic import write_bytes as write_bytes
from intrada.core.atomic import writing as writing
from intrada.core.errors import UserError

# Other modules import these from here.
from intrada.core.file_errors import REPLACE_FILE
from intrada.core.file_errors import refuse_special as refuse_special
from intrada.core.file_errors import unreadable as unreadable
from intrada.core.file_lists import list_files as list_files
from intrada.core.json_file import write_json as write_json
from intrada.core.plain_text import csv_cell, csv_text

# Columns that are always text: "00001" must not be read as 1, nor an image called "NA" as missing.
TEXT_COLUMNS = ("id", "image", "label", "subset", "dataset", "index_csv", "content")
GREY = [level for level in range(256) for _ in range(3)]  # grey palette, for maps other than labels
MAX_ID_BYTES = 200  # length of an image id; a file name may have 255 bytes, and the stages append suffixes
# Image formats (docs/decisions/0006): suffix and OpenCV's options. Only JPEG changes pixels.
STORAGE: dict[str, tuple[str, list[int]]] = {
    "png_uncompressed": (
        ".png",
        [cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE],
    ),
    "png": (
        ".png",
        [
            *(cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
            *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
        ],
    ),
    "jpeg": (
        ".jpg",
        [
            *(cv2.IMWRITE_JPEG_QUALITY, 95),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        ],
    ),
}
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_IMAGE = "a PNG or JPEG image, 8 bits a channel, without an EXIF rotation"
_IDS = "a PNG whose pixels are ids 0..255 (palette or grey)"
_PILLOW = 'python -c "from PIL import Image, ImageOps; '
_UPRIGHT = (
    f"{_PILLOW}ImageOps.exif_transpose(Image.open('IN')).save('OUT.png')\" turns it and drops the flag"
    "; if the label fits the pixels as they are stored, drop the flag only: exiftool -Orientation= IN"
)
_TO_EIGHT = {
    _IMAGE: "save it with 8 bits; how to scale the values depends on the camera (often: divide by 256)",
    _IDS: f"if no id is above 255: {_PILLOW}import numpy as n; "
    "Image.fromarray(n.asarray(Image.open('IN')).astype('uint8')).save('OUT.png')\"",
}


def read_csv(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return the table at `path`; a header without rows gives an empty frame.

    Columns in TEXT_COLUMNS are strings ("" if empty), the others ints, floats (exact to the last digit) or
    strings. UserError if the file is missing, empty or not a CSV file, or lacks one of `columns`.
    """
    allowed = "a CSV file with a header line" + (f" with {', '.join(columns)}" if columns else "")
    try:
        with warnings.catch_warnings():
            # If rows are longer than the header, pandas drops the excess with only a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise unreadable(path, error, allowed) from error
    if missing := [name for name in columns if name not in frame.columns]:
        raise unreadable(path, f"no column {', '.join(missing)}", allowed)
    for name in frame.columns.difference(list(TEXT_COLUMNS)):
        frame[name] = _parse_numbers(frame[name])
    return _with_texts(frame, csv_text)


def _parse_numbers(column: pd.Series) -> pd.Series:
    """Convert text to ints or floats ("" is nan) if possible; pandas' parser would round the last digit."""
    for dtype in (int, float):
        with suppress(ValueError):
            return column.map(lambda text, dtype=dtype: dtype(text or "nan"))
    return column


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write `frame` without its index, atomically; the bytes depend only on the frame.

    Texts that a spreadsheet would take for formulas are written as `plain_text.csv_cell` says.
    """
    with atomic_file(path) as temporary:
        _with_texts(frame, csv_cell).to_csv(temporary, index=False, lineterminator="\n")


def _with_texts(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return `frame` with each text, also in its header, replaced by `change` of it."""

    def changed(column: pd.Series) -> pd.Series:
        if pd.api.types.is_numeric_dtype(column):
            return column
        values = [change(value) if isinstance(value, str) else value for value in column]
        return pd.Series(values, column.index, column.dtype)

    return pd.DataFrame({change(str(name)): changed(frame[name]) for name in frame}, frame.index)


@contextmanager
def open_image(path: Path, allowed: str, sixteen_bits: bool = False) -> Iterator[Image.Image]:
    """Open a PNG or JPEG with Pillow (header only); decoding errors in the block become UserErrors.

    UserError if the file is neither, if its depth is not 8 bits a channel (16 with `sixteen_bits`), or if its
    EXIF data say that viewers turn it: a label could match the image as stored or as turned. All readers of
    images and labels use this function.
    """
    try:
        refuse_special(path, allowed)
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if (turned := image_headers.orientation(image, path)) != 1:
                found = (
                    f"an EXIF orientation ({turned}): viewers turn this image, its label may be turned or not"
                )
                raise UserError(path, found, allowed, _UPRIGHT)
            depth, _ = image_headers.png_header(path)
            if (depth == 16) != sixteen_bits:
                found = (
                    f"{depth} bits a channel ({image.mode}) where {16 if sixteen_bits else 8} are expected"
                )
                raise UserError(path, found, allowed, _TO_EIGHT.get(allowed, REPLACE_FILE))
            yield image
    except UnidentifiedImageError as error:
        name = image_headers.other_format(path)
        found = f"a {name} file, which is not read" if name else "cannot identify image file"
        raise unreadable(path, found, allowed) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, error, allowed) from error


def image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) in pixels, from the header alone. UserErrors as from `open_image`."""
    with open_image(path, _IMAGE) as image:
        return image.size


def read_image(path: Path) -> np.ndarray:
    """Return the image as (H, W, 3) uint8, BGR. Grey gives three equal channels; alpha is dropped.

    UserErrors as from `open_image` (16 bits are refused, because how to scale them to 8 depends on the
    sensor), and if the pixel data are corrupt or truncated.
    """
    with open_image(path, _IMAGE) as image:
        plain = image.format == "PNG" and image.mode == "RGB"
        # OpenCV decodes the same pixels in half the time. It returns None for corrupt data; Pillow explains.
        decoded = cv2.imdecode(np.fromfile(path, np.uint8), _AS_STORED) if plain else None
        if decoded is None:
            return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        return np.asarray(decoded)


def write_image(path: Path, bgr: np.ndarray, storage: str = "png_uncompressed") -> None:
    """Write `bgr`, (H, W, 3) uint8, atomically and with deterministic bytes.

    storage: a key of STORAGE; `path` should have its suffix. ValueError for another shape or dtype.
    """
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise ValueError(f"an image is (H, W, 3) uint8, not {bgr.shape} {bgr.dtype}")
    suffix, options = STORAGE[storage]
    _, data = cv2.imencode(suffix, bgr, options)
    write_bytes(path, data.data)


def read_label(path: Path) -> np.ndarray:
    """Return the palette indices or grey values of a PNG with at most 8 bits a pixel, (H, W) uint8.

    UserErrors as from `open_image`, and for a JPEG or a PNG with colours.
    """
    with open_image(path, _IDS) as image:
        depth, color_type = image_headers.png_header(path)
        if image.mode == "P":
            return np.array(image)
        if color_type == image_headers.PNG_GREY:
            # Pillow scales grey of 1, 2 or 4 bits to 0..255; an id is the number in the file.
            return np.array(image.convert("L")) // np.uint8(255 // (2**depth - 1))
        found = f"colours ({image.mode})" if image.format == "PNG" else "a JPEG, whose pixels are not exact"
        fix = "name the id image, or map its colours with `encoding: rgb` of a `folders` dataset"
        raise UserError(path, f"{found} where ids are expected", _IDS, fix)


def write_label(path: Path, label: np.ndarray, palette: Sequence[int]) -> None:
    """Write `label`, (H, W) uint8, as a palette PNG, atomically.

    palette: red, green, blue of the indices 0, 1, ..., up to 768 ints. ValueError for another shape or dtype.
    """
    if label.dtype != np.uint8 or label.ndim != 2:
        raise ValueError(f"a label map is (H, W) uint8, not {label.shape} {label.dtype}")
    image = Image.fromarray(label).convert("L")
    # All 256 colours: with a shorter palette Pillow chooses fewer bits and loses high ids.
    image.putpalette([*palette, *[0] * (768 - len(palette))])
    with atomic_file(path) as temporary:
        image.save(temporary, format="PNG", compress_level=6, optimize=False)
