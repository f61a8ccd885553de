"""Types of command-line options: functions that parse an option's text, or raise UserError."""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, NoReturn

from intrada.core.errors import UserError
from intrada.core.plain_text import printable

# Pixels of a side of the images that a network gets, also in params.yaml
MIN_SIDE, MAX_SIDE = 16, 16384


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are printable: an argument may be a file name that a glob has found."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        super().error(printable(message))

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Exit with status 2 and a message about arguments that the parser does not know."""
        known = [flag for action in self._actions for flag in action.option_strings]
        hints = [did_you_mean(word.partition("=")[0], known) for word in words if word.startswith("-")]
        self.error(f"unrecognized arguments: {' '.join(words)}{next(filter(None, hints), '')}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` with the most similar of the `known` words; "" if none is similar."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class ImageSize(NamedTuple):
    """Width and height in pixels; str() gives the form of the command line, `1024x512`."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def size(text: str, option: str = "--size") -> ImageSize:
    """Parse `1024x512`, each side 16 to 16384 pixels. UserError for anything else; it names `option`."""
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if not match or not all(MIN_SIDE <= int(side) <= MAX_SIDE for side in match.groups()):
        allowed = f"WIDTHxHEIGHT in pixels, each from {MIN_SIDE} to {MAX_SIDE}"
        raise UserError(option, repr(text), allowed, f"write, for example, {option} 1024x512")
    return ImageSize(int(match[1]), int(match[2]))


def count(option: str, low: int = 1, high: int = 10**6) -> Callable[[str], int]:
    """Return a parser of integers from `low` to `high`. It raises UserError for anything else."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise UserError(
                option, repr(text), f"an integer from {low} to {high}", f"write, for example, {option} {low}"
            )
        return int(text)

    return read


def choice(option: str, allowed: Sequence[str]) -> Callable[[str], str]:
    """Return a parser of one of the words `allowed`. It raises UserError for anything else."""

    def read(text: str) -> str:
        if text not in allowed:
            raise UserError(
                option, repr(text), " or ".join(allowed), f"write, for example, {option} {allowed[0]}"
            )
        return text

    return read


def alpha(text: str) -> float:
    """Parse the value of --alpha, a number from 0 to 1. UserError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UserError("--alpha", repr(text), "a number from 0 to 1", "write, for example, --alpha 0.5")
    return value
