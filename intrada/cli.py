"""The command line `python -m intrada STAGE`, generated from the signatures of the stages and commands."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

from intrada.commands import COMMANDS
from intrada.core.cli_types import Parser
from intrada.core.stage import Argument, Choice, Flag, FloatList, In, Option, Out, RoundOption
from intrada.pipeline import code_hash, output_guard, stage_runner
from intrada.stages import STAGES

WORDS = STAGES | COMMANDS


def run(arguments: list[str]) -> None:
    """Run the command in `arguments`, the words after the program's name. UserErrors as from the command."""
    name = arguments[0] if arguments and arguments[0] in WORDS else None
    code = code_hash.reading(name) if name in STAGES else None  # first, since `parser` imports the stage
    options = vars(parser(name).parse_args(arguments))
    word = options.pop("word")
    if word in STAGES:
        stage_runner.execute(word, options.pop("params"), options, code)
    else:
        module = _module(word)
        output_guard.check(stage_runner.marks_of(module), options)
        module.run(**options)


def parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser of all commands; with the options of `chosen` only, since they need its imports."""
    program = Parser("intrada", description=(import_module("intrada").__doc__ or "").split("\n", 1)[0])
    commands = program.add_subparsers(dest="word", required=True, metavar="STAGE")
    for name, summary in WORDS.items():
        command = commands.add_parser(name, help=summary)
        if name == chosen:
            _add_options(command, name)
    return program


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    module = _module(name)
    command.description = module.__doc__
    for option, hint in get_type_hints(module.run, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            flag = f"--{option.replace('_', '-')}"
            if isinstance(mark, Choice):
                command.add_argument(flag, required=True, choices=mark.choices or None, help=mark.help)
            elif isinstance(mark, Argument):
                count = "+" if mark.many else None if mark.required else "?"
                command.add_argument(option, nargs=count, default="", metavar=option.upper(), help=mark.help)
            elif isinstance(mark, Option):
                command.add_argument(
                    flag, type=mark.parse, default=mark.default, metavar=mark.metavar, help=mark.help
                )
            elif isinstance(mark, RoundOption):
                command.add_argument(flag, default="", metavar="NAME", help=mark.help)
            elif isinstance(mark, FloatList):
                command.add_argument(flag, nargs="*", type=float, default=[], help=mark.help)
            elif isinstance(mark, Flag):
                command.add_argument(flag, action="store_true", help=mark.help)
            elif isinstance(mark, (In, Out)):
                access = "reads" if isinstance(mark, In) else "writes"
                many = "+" if isinstance(mark, In) and mark.many else None
                required = isinstance(mark, In) or not mark.optional
                summary = f"{access}: {mark.help}"
                command.add_argument(
                    flag,
                    required=required,
                    type=Path if isinstance(mark, In) else _output,
                    nargs=many,
                    metavar="PATH",
                    help=summary,
                )
    if name in STAGES:
        default = Path("params.yaml")
        command.add_argument(
            "--params", type=Path, default=default, metavar="PATH", help="reads: the parameters"
        )


def _output(text: str) -> Path:
    """Return the path of an output; relative if it is in the working directory, as tables name files."""
    path = Path(text)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _module(name: str) -> ModuleType:
    return import_module(f"intrada.{'stages' if name in STAGES else 'commands'}.{name}")
