"""Compare image formats for resized images: `python -m benchmarks.storage` (docs/decisions/0006).

For a synthetic image of GTA5's size, resized by the preprocess stage's code: megabytes, and milliseconds
of CPU time to encode it and to decode it with OpenCV and with Pillow. Disk access is not included.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from benchmarks.streets import temporary_folder, write_gta5
from intrada.core import files
from intrada.data.resize import resize_image

SIZES = ((1280, 720), (1024, 512), (128, 64))
TIMES = 7
FORMATS: dict[str, tuple[str, list[int]]] = {
    **files.STORAGE,
    "PNG, OpenCV's level 3": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 3]),
    "PNG, OpenCV's level 6": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 6]),
    "WebP, lossless": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
    "BMP": (".bmp", []),
    "TIFF, uncompressed": (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
}


def main() -> None:
    """Print the table in Markdown."""
    cv2.setNumThreads(1)
    with temporary_folder() as folder:
        ((path, _),) = write_gta5(folder, 1)
        raw = files.read_image(path)
    print("| size | format | MB | encode | decode, OpenCV | decode, Pillow | same pixels |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for size in SIZES:
        image = resize_image(raw, size)
        for name, settings in FORMATS.items():
            print(f"| {size[0]}x{size[1]} | {name} | {_measured(image, *settings)} |")
        print(f"| {size[0]}x{size[1]} | array (.npy) | {_as_array(image)} |")


def _measured(image: np.ndarray, suffix: str, options: list[int]) -> str:
    encode = _cpu(lambda: cv2.imencode(suffix, image, options))
    data = cv2.imencode(suffix, image, options)[1]
    opencv = _cpu(lambda: cv2.imdecode(data, cv2.IMREAD_COLOR))
    pillow = _cpu(lambda: np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGB")))
    same = np.array_equal(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), image)
    return f"{_numbers(data.nbytes, encode, opencv)} | {pillow:.2f} | {same}"


def _as_array(image: np.ndarray) -> str:
    array = io.BytesIO()
    np.save(array, image)
    encode = _cpu(lambda: np.save(io.BytesIO(), image))
    decode = _cpu(lambda: np.load(io.BytesIO(array.getvalue())))
    return f"{_numbers(image.nbytes, encode, decode)} | - | True"


def _numbers(size: int, encode: float, decode: float) -> str:
    return f"{size / 1e6:.3f} | {encode:.2f} | {decode:.2f}"


def _cpu(work: Callable[[], object]) -> float:
    """Return the median CPU time of TIMES calls in milliseconds, after a warm-up."""

    def once() -> float:
        start = time.process_time()
        work()
        return 1000 * (time.process_time() - start)

    once()
    return statistics.median(once() for _ in range(TIMES))


if __name__ == "__main__":
    main()
