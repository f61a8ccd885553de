"""How a stage declares its command line: types for input and output paths, options, and its context."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from intrada.core import plain_text

Item = TypeVar("Item")


@dataclass(frozen=True)
class In:
    """A path that the stage reads.

    raw: the user's own data, fingerprinted by size and time only. index: an index.csv; the files it names
    are inputs, too. sets: a table of data sets; their indexes are inputs, too. many: one path or more.
    default: the path if a command gets none.
    """

    help: str
    raw: bool = False
    index: bool = False
    sets: bool = False
    many: bool = False
    default: str = ""


@dataclass(frozen=True)
class Out:
    """A path that the stage writes atomically. intrada/pipeline/output_guard.py says which are refused.

    optional: written only if the option is given. inside: it must be a path in the project, since a table
    names its files. raw: it is generated raw data. replaces: the one file of the project that it may replace.
    """

    help: str
    optional: bool = False
    inside: bool = False
    raw: bool = False
    replaces: str = ""


@dataclass(frozen=True)
class Choice:
    """The positional argument that selects a job of a stage, such as the domain of preprocess.

    choices: the allowed values; empty: any name. optional: another option may select the job.
    """

    help: str
    choices: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Argument:
    """A positional argument; "" if it is not given.

    required: it must be given. many: one or more values, as a list.
    """

    help: str
    required: bool = False
    many: bool = False


@dataclass(frozen=True)
class Option:
    """An option with one value. metavar: its name in the help; parse: text -> value; default: if absent."""

    help: str
    metavar: str
    parse: Callable[[str], object]
    default: object = None


@dataclass(frozen=True)
class RoundOption:
    """The round of steps 2 and 3, by its name in `rounds` of the params; "" is the first round."""

    help: str = "a round of `rounds` in the params; default: the first round"


@dataclass(frozen=True)
class SetOption:
    """A further labelled data set, by its name in the block of params that the option is named after.

    The job is then called `STAGE_<block>@<name>`. "" if the option is not given.
    """

    help: str


@dataclass(frozen=True)
class FloatList:
    """An option with a list of numbers; empty if it is not given."""

    help: str


@dataclass(frozen=True)
class Flag:
    """An option without a value: True if it is given."""

    help: str


@dataclass(frozen=True)
class Settings:
    """`--set KEY=VALUE`, any number of times: values that replace those of the params file; [] if absent."""

    help: str = (
        "replaces a value of the params file, such as --set rank.easy_fraction=0.5; any number of times"
    )


@dataclass(frozen=True)
class Context:
    """What every stage may use in addition to its files and params.

    name: the job's name in dvc.yaml (`preprocess@source`); fingerprint: hash of its params, inputs and code,
    hexadecimal; runs: the folder for checkpoints and TensorBoard files, not a DVC output. check: called at
    each step of `progress`; it raises the error of another process of the stage. report: called after each
    step with the numbers of steps before the first one, done, and in all; returns a text for the bar.
    loader_threads: `compute.loader_threads`, which changes no result and so is in no stage's params.
    """

    name: str
    fingerprint: str
    runs: Path
    check: Callable[[], None] | None = None
    report: Callable[[int, int, int], str] | None = None
    loader_threads: int | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder for the checkpoints and TensorBoard files of a run with this fingerprint."""
        return self.runs / self.fingerprint[:16]

    @property
    def workers(self) -> int:
        """Number of threads that decode and encode images; it never changes a result."""
        return int(os.environ.get("INTRADA_WORKERS", os.cpu_count() or 1))

    def progress(self, items: Iterable[Item], total: int, unit: str, start: int = 0) -> Iterator[Item]:
        """Yield `items` with a progress bar on stderr, if that is a terminal and notes are shown.

        total: number of items at the end; unit: name of one item; start: number of items already done.
        """
        bar = tqdm(
            items, desc=self.name, total=total, initial=start, unit=unit, disable=plain_text.is_bar_hidden()
        )
        for done, item in enumerate(bar, start + 1):
            if self.check:
                self.check()
            yield item
            if self.report and (text := self.report(start, done, total)):
                bar.set_postfix_str(text, refresh=False)
