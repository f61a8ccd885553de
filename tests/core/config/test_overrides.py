"""`--set key=value`: read as in params.yaml, applied before the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intrada.core.config import overrides
from intrada.core.config.load import load
from intrada.core.errors import UserError
from tests.support.definition import ROOT

PARAMS = ROOT / "presets/toycity.yaml"


def test_values_are_read_as_in_params_yaml() -> None:
    words = ["a.b=0.5", "c=[256, 128]", "d=1e-4", "e=yes", "f={x: 1}", "g=a=b", "a.b=2"]
    assert overrides.parse(words) == {
        "a.b": 2, "c": [256, 128], "d": 1e-4, "e": "yes", "f": {"x": 1}, "g": "a=b",
    }  # fmt: skip


@pytest.mark.parametrize(
    "word", ["", "rank", "=1", "rank.=1", ".rank=1", "seed=[1", "seed=!x 1", "seed=.nan"]
)
def test_anything_else_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="^--set"):
        overrides.parse([word])


def test_the_tree_itself_does_not_change() -> None:
    tree: dict[str, Any] = {"rank": {"easy_fraction": 0.5}}
    assert overrides.apply(tree, {"rank.easy_fraction": 0.7}) == {"rank": {"easy_fraction": 0.7}}
    assert tree == {"rank": {"easy_fraction": 0.5}}


def test_a_key_below_a_value_is_refused() -> None:
    with pytest.raises(UserError, match="a is 1, not a block"):
        overrides.apply({"a": 1}, {"a.b.c": 2})


def test_the_schema_names_a_wrong_value_and_an_unknown_key_with_their_origin() -> None:
    params = load(PARAMS, ["rank.easy_fraction=0.5", "model.options={width: 8}"])
    assert params.rank.easy_fraction == 0.5 and params.model.options == {"width": 8}
    with pytest.raises(
        UserError, match=r"toycity.yaml with --set rank.easy_fraction=7: rank.easy_fraction = 7"
    ):
        load(PARAMS, ["rank.easy_fraction=7"])
    with pytest.raises(UserError, match=r"rank.easy_fractoin is not a key \(did you mean easy_fraction\?\)"):
        load(PARAMS, ["rank.easy_fractoin=0.7"])
    assert load(Path(PARAMS)).rank.easy_fraction == 0.67
