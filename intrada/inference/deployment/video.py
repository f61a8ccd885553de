"""Videos in and out, frame by frame; by OpenCV's FFmpeg alone: GStreamer's would run a name as a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from intrada.core import files
from intrada.core.errors import UserError
from intrada.core.plain_text import logger

log = logger(__name__)

CODEC = "mp4v"  # MPEG-4 part 2, the only codec for .mp4 that every build of OpenCV can write
_ALLOWED = "a video that OpenCV's FFmpeg can decode (most .mp4, .avi, .mkv, .mov)"
_FIX = "look whether it plays; ffmpeg -i IN -c:v libx264 OUT.mp4 makes most videos readable"
_UPRIGHT = "ffmpeg -i IN -c:v libx264 OUT.mp4 turns the frames and drops the flag"


# A header may count too many frames, for instance if the sound is longer; more than this is damage
_MISSING = 0.05


class VideoError(UserError):
    """One video cannot be read or written; others may be fine."""


class Facts(NamedTuple):
    """rate: frames per second; frames: their number as the header estimates it, 0 if it does not."""

    rate: float
    frames: int


def facts(path: Path) -> Facts:
    """Read the header. VideoError for a file that does not open as a video, or without a frame rate."""
    with _opened(path) as capture:
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if not 0 < rate < float("inf"):
            raise VideoError(path, f"a frame rate of {rate}", _ALLOWED, _FIX)
        return Facts(rate, max(0, int(count)))


def read(
    path: Path, every: int = 1, short: Callable[[VideoError], None] | None = None
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (number, (H, W, 3) uint8 BGR) of the frames 0, every, 2 * every, ...; one is in memory at a time.

    VideoError if there is no frame. OpenCV does not distinguish a broken frame from the end of the file. If
    fewer frames are decoded than the header announces, a line on stderr names both numbers; if more than 5 %
    are missing, `short` gets the error instead.
    """
    number = 0
    with _opened(path) as capture:
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        while capture.grab():
            if number % every == 0:
                decoded, frame = capture.retrieve()
                if not decoded:
                    break
                yield number, frame
            number += 1
    if not number:
        raise VideoError(path, "no frame that can be decoded", _ALLOWED, _FIX)
    if number < expected:
        found = f"ends after {number} frames, its header says {expected}: cut short or damaged?"
        if short and expected - number > _MISSING * expected:
            short(VideoError(path, found, "a whole video", "replace it, if there is a whole one"))
        else:
            log.warning(f"{path}: {found}")


@contextmanager
def overlay(path: Path, rate: float) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Yield a function that appends a frame, (H, W, 3) uint8 BGR, to a video of `rate` frames per second.

    The video has the size of the first frame, without a last odd column or row (FFmpeg cuts it off). A file
    at `path` is replaced if the block raises nothing and the new file holds all frames.
    """
    with files.atomic_file(path) as temporary:
        writer = _Writer(path, temporary, rate)
        try:
            yield writer.add
        finally:
            writer.close()
        writer.check()


class _Writer:
    def __init__(self, path: Path, temporary: Path, rate: float) -> None:
        self.path, self.temporary, self.rate = path, temporary, rate
        self.frames, self.handle = 0, cv2.VideoWriter()

    def add(self, frame: NDArray[np.uint8]) -> None:
        if not self.frames:
            code, size = cv2.VideoWriter.fourcc(*CODEC), (frame.shape[1], frame.shape[0])
            if not self.handle.open(str(self.temporary), cv2.CAP_FFMPEG, code, self.rate, size):
                raise self.unwritable(f"no {CODEC} video of {size[0]}x{size[1]} pixels can be opened")
        self.handle.write(frame)
        self.frames += 1

    def close(self) -> None:
        self.handle.release()

    def check(self) -> None:
        """VideoError if frames are missing: OpenCV reports neither a full disk nor frames of another size."""
        with _opened(self.temporary) as capture:
            readable = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if readable != self.frames:
            raise self.unwritable(f"{self.frames} frames were written, but {readable} can be read")

    def unwritable(self, found: str) -> VideoError:
        allowed = "frames of one size, at least 2 x 2 pixels, on a disk with free space"
        return VideoError(self.path, found, allowed, "free space, then run the same command again")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A cv2.VideoCapture; VideoError if it opens no video. The path is absolute, so it is no URL."""
    try:
        files.refuse_special(path, _ALLOWED)
    except UserError as error:
        raise VideoError(error.where, error.found, error.allowed, error.fix) from None
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            found = "an empty file (0 bytes)" if path.stat().st_size == 0 else "no video that opens"
            raise VideoError(path, found, _ALLOWED, _FIX)
        if turned := int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360:
            found = f"a flag that turns it by {turned} degrees; images with such a flag are refused, too"
            raise VideoError(path, found, f"{_ALLOWED}, without a rotation", _UPRIGHT)
        yield capture
    finally:
        capture.release()
