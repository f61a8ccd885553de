"""Types of the values in params.yaml: numbers with ranges, and paths that are safe in a shell command."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from intrada.core.cli_types import MAX_SIDE, MIN_SIDE

_MAX_NUMBER = 1e18  # so that the product of two (learning rate and its multiplier) fits a float32


def _number(value: object) -> object:
    """Return an int as float. ValueError for booleans, nan and infinity."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not a boolean")
    if isinstance(value, (int, float)):
        if not abs(value) <= _MAX_NUMBER:  # written so that nan fails, too
            raise ValueError(f"must be a finite number up to {_MAX_NUMBER:g}")
        return float(value)
    return value


def _no_number(value: object) -> object:
    """Refuse numbers: pydantic would read 0 and 1 as False and True, but to DVC they are other values."""
    if type(value) in (int, float):
        raise ValueError("must be auto, true or false")
    return value


def _text_keys(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse keys that are not text, at any depth: commands of DVC, such as `dvc exp show`, fail on them."""
    for child in value.values():
        if isinstance(child, dict):
            if wrong := [key for key in child if not isinstance(key, str)]:
                raise ValueError(f"the key {wrong[0]!r} must be text: write it in quotes")
            _text_keys(child)
    return value


def _path_text(value: str) -> str:
    """Refuse a path that is unsafe in the commands of dvc.yaml, which write it in single quotes.

    Allowed are spaces; refused are quotes and a leading `-`, which a program would read as an option.
    """
    # Combining marks (M) are parts of letters. ~ is refused because Python does not expand it.
    wrong = [
        char for char in value if char not in " /._-+=@,:%" and unicodedata.category(char)[0] not in "LMN"
    ]
    if wrong or not value or value[0] in "-= " or value[-1] == " ":
        where = f"{wrong[0]!r} in it" if wrong else f"{value!r}"
        raise ValueError(
            f"{where}, but the path is part of the commands in dvc.yaml: allowed are letters, digits, "
            "/ . _ - + = @ , : % and inner spaces, without a leading - or =; link any other path: "
            "ln -s '/disk (old)/gta5' data/raw/gta5"
        )
    return value


def _own_folder(value: str) -> str:
    """Refuse other folders than data/raw/toycity/NAME: DVC removes a stage's output before it runs."""
    parent, _, name = value.rpartition("/")
    if parent != "data/raw/toycity" or name in ("", ".", ".."):
        raise ValueError("expected a folder data/raw/toycity/NAME: its content is removed before a run")
    return value


PathText = Annotated[str, AfterValidator(_path_text)]
ToyRoot = Annotated[PathText, AfterValidator(_own_folder)]
Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Share = Annotated[Number, Field(gt=0, le=1)]
Options = Annotated[dict[str, Any], AfterValidator(_text_keys)]
Switch = Annotated[Literal["auto", True, False], BeforeValidator(_no_number)]
Decay = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)]
Size = Annotated[list[Side], Field(min_length=2, max_length=2)]
