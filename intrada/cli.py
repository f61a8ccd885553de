"""The command line `intrada COMMAND`, generated from the signatures of the stages and commands."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from intrada.commands import COMMANDS, START, USE
from intrada.core import cli_options, garbage
from intrada.core.cli_types import Parser, did_you_mean
from intrada.core.config import load
from intrada.core.plain_text import say, show
from intrada.core.stage import Choice, RoundOption, SetOption, Settings
from intrada.pipeline import code_hash, job_options, output_guard, stage_runner
from intrada.stages import STAGES

WORDS = STAGES | COMMANDS
GROUPS = {"start here": START, "stages of the pipeline": STAGES, "look and use": USE}
PARAMS = Path("params.yaml")
SHELLS = ("bash", "zsh", "fish", "tcsh")
EPILOG = (
    "`intrada COMMAND --help` explains a command and its options. In a project, a stage takes the paths that"
    " are not given from dvc.yaml."
)
INDENT = 22  # columns before the summaries
OF_PROGRAM = ("word", "print_completion")
LEVELS = {
    "-v": ("--verbose", logging.DEBUG, "also print details"),
    "-q": ("--quiet", logging.WARNING, "print no notes and no progress"),
}


class Program(Parser):
    """The parser of the first word, whose help lists all commands in groups."""

    def format_help(self) -> str:
        """Return the help."""
        formatter = argparse.HelpFormatter(self.prog, max_help_position=INDENT)
        formatter.add_usage(self.usage, [], [])
        formatter.add_text(self.description)
        for title, words in GROUPS.items():
            formatter.start_section(title)
            formatter.add_arguments(argparse.Action([], word, help=words[word]) for word in words)
            formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments(action for action in self._actions if action.option_strings)
        formatter.end_section()
        formatter.add_text(EPILOG)
        return formatter.format_help()


def run(arguments: list[str]) -> None:
    """Run the command in `arguments`, the words after the program's name. UserErrors as from the command."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    if name not in WORDS:
        _run_program(arguments)
        return
    code = code_hash.reading(name) if name in STAGES else None  # first, since the parser imports the stage
    options = _parsed(name, arguments)
    garbage.resume()  # all that a stage or command needs is imported
    show(options.pop("level"))
    if name in STAGES:
        params, settings = options.pop("params"), options.pop("settings")
        stage_runner.execute(name, params, options, code, settings)
    else:
        module = _module(name)
        output_guard.check(stage_runner.marks_of(module), options)
        module.run(**options)


def parser(*names: str) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of the whole command line, and those of its commands.

    Only the commands `names` have their options, since these need the imports of the command.
    """
    program = _program()
    commands = program.add_subparsers(dest="word", prog="intrada", parser_class=Parser)
    by_name = {name: commands.add_parser(name, help=WORDS[name]) for name in WORDS}
    for name in names:
        _add_options(by_name[name], name)
    return program, by_name


def _run_program(arguments: list[str]) -> None:
    """Run a command line without a command: help, version, completion script, or an error."""
    program = _program()
    options, words = program.parse_known_args(arguments)
    if unknown := [word for word in words if not word.startswith("-")]:
        hint = did_you_mean(unknown[0], WORDS)
        program.error(f"no command {unknown[0]!r}{hint}; `intrada --help` lists all commands")
    if words:
        program.refuse(words)
    if not options.print_completion:
        program.exit(2, program.format_help())
    say(*_completion(options.print_completion).splitlines())


def _program() -> Parser:
    """Return the parser of what may stand before the command."""
    intrada = import_module("intrada")
    program = Program("intrada", usage="intrada [-h] [--version] [-v | -q] COMMAND ...")
    program.description = (intrada.__doc__ or "").split("\n", 1)[0]
    program.add_argument("--version", action="version", version=f"intrada {intrada.__version__}")
    _add_level(program, logging.INFO)
    program.add_argument("--print-completion", choices=SHELLS, help="print a script that completes commands")
    return program


def _add_level(parser: Parser, default: object) -> None:
    """Add -v and -q, which may stand before and after the command."""
    group = parser.add_mutually_exclusive_group()
    for short, (long, level, text) in LEVELS.items():
        group.add_argument(
            short, long, action="store_const", const=level, default=default, dest="level", help=text
        )


def _completion(shell: str) -> str:
    """Return the script with which a shell completes commands, options and file names."""
    shtab = import_module("shtab")  # here, since it takes a while and no other command needs it
    program, commands = parser(*WORDS)
    for name, command in commands.items():
        command.description = WORDS[name]  # zsh and fish list it beside the command, on a line
        for action in command._actions:
            if action.metavar == cli_options.PATH:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    script: str = shtab.complete(program, shell)
    return script


def _parsed(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options of a command by name. A stage takes those that are not given from dvc.yaml."""
    program, commands = parser(name)

    def parse(words: Sequence[str]) -> dict[str, Any]:
        options, unknown = program.parse_known_args(words)
        if unknown:
            commands[name].refuse(unknown)
        return {key: value for key, value in vars(options).items() if key not in OF_PROGRAM}

    options = parse(arguments)
    if name not in STAGES:
        return options
    marks = stage_runner.marks_of(_module(name))
    missing = [
        cli_options.flag(key)
        for key, mark in marks.items()
        if cli_options.is_required(mark) and options[key] is None
    ]
    if not missing:
        return options
    chosen = {
        cli_options.flag(key): options[key] or ""
        for key, mark in marks.items()
        if isinstance(mark, (Choice, RoundOption, SetOption))
    }
    job_options.require_project(name, missing)
    load.load(options["params"], options["settings"])  # before DVC, whose errors say less
    values = load.tree(options["params"], options["settings"])
    after = arguments.index(name) + 1
    return parse([*arguments[:after], *job_options.words(name, chosen, values), *arguments[after:]])


def _add_options(command: Parser, name: str) -> None:
    module = _module(name)
    command.description = module.__doc__
    hints = get_type_hints(module.run, include_extras=True)
    marks = {key: hint.__metadata__[0] for key, hint in hints.items() if hasattr(hint, "__metadata__")}
    cli_options.add(command, marks, required=name not in STAGES)
    _add_level(command, argparse.SUPPRESS)  # the command's default would replace what stands before it
    if name in STAGES:
        command.add_argument(
            "--params", type=Path, default=PARAMS, metavar=cli_options.PATH, help="reads: the parameters"
        )
        cli_options.add(command, {"settings": Settings()}, required=False)
        command.epilog = "Paths that are not given are those of the stage in dvc.yaml."


def _module(name: str) -> ModuleType:
    return import_module(f"intrada.{'stages' if name in STAGES else 'commands'}.{name}")
