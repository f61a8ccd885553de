"""Edits of the text of a params file leave all other lines as they are."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from intrada.core.config import edit_yaml, overrides, plain_yaml
from intrada.core.errors import UserError
from tests.support.definition import ROOT

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
LONG = {"images": "a/*.{jpg,png}", "mapping": {f"class {number}": [number] * 3 for number in range(12)}}
CHANGES: dict[str, Any] = {
    "seed": 7,
    "compute.device": "auto",
    "preprocess.source.size": [64, 32],
    "preprocess.target.options": LONG,
    "preprocess.val": {"dataset": "folders", "root": "my photos", "options": LONG, "allow_absent": []},
    "classes": ["road", "sky"],
    "train_inter.optimizer.lr": 3e-4,
    "rounds": {"r2": {"after": "train_intra", "easy_fraction": 0.5, "init": "w.pth"}},
    "model.options.width": 8,
    "report.subtitle": "yes: # 'no'",
}


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("key", CHANGES)
def test_a_value_is_replaced_or_added_and_every_comment_stays(path: Any, key: str) -> None:
    text = path.read_text(encoding="utf-8")
    edited = edit_yaml.edit(text, {key: CHANGES[key]})
    assert plain_yaml.parse(edited) == overrides.apply(plain_yaml.parse(text), {key: CHANGES[key]})
    lost = [line[1:] for line in difflib.ndiff(text.splitlines(), edited.splitlines()) if line[0] == "-"]
    whole = key in ("preprocess.val", "preprocess.target.options", "classes")
    assert whole or len(lost) <= 1
    assert edited.count("# ") == text.count("# ") + (key == "report.subtitle")


def test_several_values_at_once() -> None:
    text = PRESETS[0].read_text(encoding="utf-8")
    edited = edit_yaml.edit(text, CHANGES)
    assert plain_yaml.parse(edited) == overrides.apply(plain_yaml.parse(text), CHANGES)
    assert edit_yaml.edit(edited, CHANGES) == edited


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_so_in_a_file_that_a_program_wrote(path: Any) -> None:
    tree = plain_yaml.parse(path.read_text(encoding="utf-8"))
    edited = edit_yaml.edit(plain_yaml.dump(tree), CHANGES)
    assert plain_yaml.parse(edited) == overrides.apply(tree, CHANGES)


def test_a_block_is_written_as_it_is_read() -> None:
    assert plain_yaml.parse(edit_yaml.block(CHANGES)) == CHANGES


def test_the_last_line_needs_no_line_break() -> None:
    assert edit_yaml.edit("a:\n  b: 1  # one", {"a.c": 2, "a.b": 3}) == "a:\n  b: 3  # one\n  c: 2"


@pytest.mark.parametrize(
    "text, key", [("a: &x {b: 1}\nc: *x\n", "a.b"), ("a: 1\n", "b.c"), ("a: 1\n", "a.b")]
)
def test_a_place_that_cannot_be_edited_is_named(text: str, key: str) -> None:
    with pytest.raises(UserError, match=f"^{key}"):
        edit_yaml.edit(text, {key: 2})
