"""How a stage says what it is: typed paths in and out, and what the runner hands to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


@dataclass(frozen=True)
class In:
    """A path that the stage reads.

    raw: the user's own data, watched by size and time only. index: an index.csv, so that the files
    it names are inputs as well. many: one path or several.
    """

    help: str
    raw: bool = False
    index: bool = False
    many: bool = False


@dataclass(frozen=True)
class Out:
    """A path that the stage writes, whole or not at all. optional: not written where it is not asked for."""

    help: str
    optional: bool = False


@dataclass(frozen=True)
class Choice:
    """A word that tells the jobs of one stage apart, such as the domain of preprocess.

    choices: the words allowed; empty where any name will do.
    """

    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Argument:
    """A word that stands by itself on the command line and may be left out (then it is "").

    needed: it may not be left out. many: one or several, as a list.
    """

    help: str
    needed: bool = False
    many: bool = False


@dataclass(frozen=True)
class Option:
    """One value behind an option. read: makes it from the text; default: what it is where it is left out."""

    help: str
    shown: str
    read: Callable[[str], object]
    default: object = None


@dataclass(frozen=True)
class RoundOption:
    """Which round of steps 2 and 3, by its name in `rounds` of the params; left out (""): the first."""

    help: str = "a round named in `rounds` of the params; left out: the first"


@dataclass(frozen=True)
class FloatList:
    """Numbers behind one option, which may be left out (then there are none)."""

    help: str


@dataclass(frozen=True)
class Flag:
    """An option without a value: given or not."""

    help: str


@dataclass(frozen=True)
class Context:
    """What every stage may use beside its files and params.

    name: the job as DVC calls it (`preprocess@source`); fingerprint: of its params, inputs and code;
    runs: the folder for checkpoints and TensorBoard files, outside all outs. check: called at each step of
    `progress`, to raise what other processes of the stage have failed of.
    """

    name: str
    fingerprint: str
    runs: Path
    check: Callable[[], None] | None = None

    @property
    def checkpoints(self) -> Path:
        """Where a run with this fingerprint keeps what it needs to go on, and to be looked at."""
        return self.runs / self.fingerprint[:16]

    @property
    def workers(self) -> int:
        """Threads for decoding and encoding images; they never change a result."""
        return int(os.environ.get("INTRADA_WORKERS", os.cpu_count() or 1))

    def progress(self, items: Iterable[Item], total: int, unit: str, start: int = 0) -> Iterator[Item]:
        """`items` behind a bar with rate and time left; silent when stderr is not a terminal."""
        bar = tqdm(
            items, desc=self.name, total=total, initial=start, unit=unit, disable=not sys.stderr.isatty()
        )
        for item in bar:
            if self.check:
                self.check()
            yield item
