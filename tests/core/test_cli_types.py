"""Types of command-line options."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import get_type_hints

import pytest

from intrada.cli import WORDS
from intrada.core import cli_types
from intrada.core.errors import UserError
from intrada.core.stage import Option
from intrada.stages import STAGES


def test_a_size_is_read_as_width_and_height_and_written_as_it_was_read() -> None:
    size = cli_types.size("2048x1024")
    assert (size.width, size.height) == size == (2048, 1024)
    assert str(size) == "2048x1024"


@pytest.mark.parametrize(
    "text", ["", "64", "64 32", "64,32", "64X32", "64.5x32", "1e3x32", "-64x32", "64x15", "٦٤x32", "64x32 "]
)
def test_anything_else_is_refused_as_a_size(text: str) -> None:
    with pytest.raises(UserError, match="WIDTHxHEIGHT in pixels"):
        cli_types.size(text)


@pytest.mark.parametrize("word", WORDS)
def test_every_command_has_the_same_options_for_sizes_and_the_params_file(word: str) -> None:
    module = import_module(f"intrada.{'stages' if word in STAGES else 'commands'}.{word}")
    hints = get_type_hints(module.run, include_extras=True)
    assert "params_file" not in inspect.signature(module.run).parameters
    for mark in getattr(hints.get("size"), "__metadata__", ()):
        assert isinstance(mark, Option) and (mark.parse, mark.metavar) == (cli_types.size, "WIDTHxHEIGHT")
