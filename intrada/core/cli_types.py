"""Types of command-line options: each reads the text behind an option, or raises UserError."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from intrada.core.errors import UserError

SMALLEST = 16  # pixels of a side, as in params.yaml


class ImageSize(NamedTuple):
    """Width and height in pixels; as text, what the command line takes: `1024x512`."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def size(text: str) -> ImageSize:
    """Read `1024x512`, each side at least 16 pixels. UserError for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if not found or min(int(found[1]), int(found[2])) < SMALLEST:
        allowed = f"WIDTHxHEIGHT in pixels, each at least {SMALLEST}"
        raise UserError("--size", repr(text), allowed, "write --size 1024x512, say")
    return ImageSize(int(found[1]), int(found[2]))


def count(option: str, low: int = 1, high: int = 10**6) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`; UserError for anything else."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise UserError(
                option, repr(text), f"a whole number from {low} to {high}", f"write {option} {low}, say"
            )
        return int(text)

    return read


def share(text: str) -> float:
    """A number from 0 to 1, of --alpha. UserError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError("--alpha", repr(text), "a number from 0 to 1", "write --alpha 0.5, say")
    return value
