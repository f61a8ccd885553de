"""Add the options of a stage or command, which the types of its arguments declare, to a parser."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from intrada.core.stage import (
    Argument,
    Choice,
    Flag,
    FloatList,
    In,
    Option,
    Out,
    RoundOption,
    SetOption,
    Settings,
)

PATH = "PATH"


def add(parser: argparse.ArgumentParser, marks: Mapping[str, object], required: bool) -> None:
    """Add an option for each of `marks`: name of the argument -> its type. Any other value is no option.

    required: whether paths and the choice of a job must be given.
    """
    for name, mark in marks.items():
        if isinstance(mark, Argument):
            count = "+" if mark.many else None if mark.required else "?"
            parser.add_argument(name, nargs=count, default="", metavar=name.upper(), help=mark.help)
        elif isinstance(mark, (In, Out)):
            _add_path(parser, flag(name), mark, required)
        else:
            _add_value(parser, flag(name), mark, required)


def flag(name: str) -> str:
    """Return the option of an argument: `--label-free` for label_free."""
    return f"--{name.replace('_', '-')}"


def _add_value(parser: argparse.ArgumentParser, flag: str, mark: object, required: bool) -> None:
    if isinstance(mark, Choice):
        is_needed = required and not mark.optional
        parser.add_argument(flag, required=is_needed, choices=mark.choices or None, help=mark.help)
    elif isinstance(mark, Option):
        parser.add_argument(flag, type=mark.parse, default=mark.default, metavar=mark.metavar, help=mark.help)
    elif isinstance(mark, (RoundOption, SetOption)):
        parser.add_argument(flag, default="", metavar="NAME", help=mark.help)
    elif isinstance(mark, FloatList):
        parser.add_argument(flag, nargs="*", type=float, default=[], help=mark.help)
    elif isinstance(mark, Flag):
        parser.add_argument(flag, action="store_true", help=mark.help)
    elif isinstance(mark, Settings):
        parser.add_argument(
            "--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help=mark.help
        )


def _add_path(parser: argparse.ArgumentParser, flag: str, mark: In | Out, required: bool) -> None:
    access = "reads" if isinstance(mark, In) else "writes"
    parser.add_argument(
        flag,
        required=required and is_required(mark),
        type=Path if isinstance(mark, In) else _output,
        default=Path(mark.default) if isinstance(mark, In) and mark.default else None,
        nargs="+" if isinstance(mark, In) and mark.many else None,
        metavar=PATH,
        help=f"{access}: {mark.help}",
    )


def is_required(mark: object) -> bool:
    """Return whether a stage cannot run without this option."""
    if isinstance(mark, In):
        return not mark.default
    return isinstance(mark, (Choice, Out)) and not mark.optional


def _output(text: str) -> Path:
    """Return the path of an output; relative if it is in the working directory, as tables name files."""
    path = Path(text)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
