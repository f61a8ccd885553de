"""The types of the values in params.yaml: numbers in their ranges, and paths that are safe in a command."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

_LARGEST = 1e18  # so that the product of two (learning rate and its multiplier) is a float32


def _number(value: object) -> object:
    """Whole numbers are floats as well; booleans, nan and infinity are not."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not a boolean")
    if isinstance(value, (int, float)):
        if not abs(value) <= _LARGEST:  # nan neither
            raise ValueError(f"must be a finite number up to {_LARGEST:g}")
        return float(value)
    return value


def _no_number(value: object) -> object:
    """0 and 1 equal False and True, which pydantic takes them for; to DVC they are other values."""
    if type(value) in (int, float):
        raise ValueError("must be auto, true or false")
    return value


def _text_keys(value: dict[str, Any]) -> dict[str, Any]:
    """Keys at any depth are text: some commands of DVC fail on others, `dvc exp show` among them."""
    for below in value.values():
        if isinstance(below, dict):
            if wrong := [key for key in below if not isinstance(key, str)]:
                raise ValueError(f"the key {wrong[0]!r} must be text: write it in quotes")
            _text_keys(below)
    return value


def _path_text(value: str) -> str:
    """A path that a shell takes for one word and a program for no option.

    dvc.yaml puts it into commands, between single quotes: so spaces may stand in it, and no quote.
    """
    # combining marks (M) are parts of letters; ~ would be the home folder to a person, and none to Python
    wrong = [
        char for char in value if char not in " /._-+=@,:%" and unicodedata.category(char)[0] not in "LMN"
    ]
    if wrong or not value or value[0] in "-= " or value[-1] == " ":
        where = f"{wrong[0]!r} in it" if wrong else f"{value!r}"
        raise ValueError(
            f"{where}, but it stands in the commands of dvc.yaml: allowed are letters, digits, spaces within "
            "and / . _ - + = @ , : %, the first no - or =; give another place a link: "
            "ln -s '/disk (old)/gta5' data/raw/gta5"
        )
    return value


def _own_folder(value: str) -> str:
    """A stage's output: DVC removes what stands there before the stage runs, whoever put it there."""
    above, _, name = value.rpartition("/")
    if above != "data/raw/toycity" or name in ("", ".", ".."):
        raise ValueError("a folder data/raw/toycity/NAME is expected: its content is removed before a run")
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
Size = Annotated[list[Annotated[int, Field(ge=16)]], Field(min_length=2, max_length=2)]
