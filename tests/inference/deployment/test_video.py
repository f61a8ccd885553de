"""A video whose header says that players turn it."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from intrada.core.errors import UserError
from intrada.inference.deployment import video

MATRIX = 44  # its place in the box tkhd of an MP4, bytes behind the name of the box


def turn(path: Path) -> None:
    """Set the display matrix of an MP4 to a quarter turn."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + MATRIX
    one = 1 << 16
    assert struct.unpack_from(">9i", content, at) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", content, at, 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def test_a_video_that_players_turn_is_refused_as_an_image_is(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    with video.overlay(path, 10.0) as add:
        for _ in range(3):
            add(np.zeros((32, 64, 3), np.uint8))
    assert [frame.shape for _, frame in video.read(path)] == [(32, 64, 3)] * 3
    turn(path)
    for call in (lambda: video.facts(path), lambda: list(video.read(path))):
        with pytest.raises(UserError, match=r"phone\.mp4: a flag that turns it by 90 degrees[^$]*ffmpeg"):
            call()
