from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.commands import validate
from intrada.core.errors import UserError
from intrada.pipeline import code_hash
from tests.support.tiny_project import PARAMS, change, tree, write_params

OUT = Path("results/validate/params.json")


@pytest.fixture(autouse=True)
def folder(checkout: Path) -> None:
    pass


def test_the_values_are_written_whatever_the_layout_of_the_file() -> None:
    validate.run(PARAMS, OUT)
    before = OUT.read_bytes()
    assert json.loads(before)["rank"] == tree()["rank"]
    PARAMS.write_text("# a comment\n" + PARAMS.read_text())
    validate.run(PARAMS, OUT)
    assert OUT.read_bytes() == before


def test_a_missing_file_is_noted_with_what_an_experiment_in_a_temporary_folder_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    validate.run(PARAMS, OUT)
    assert capsys.readouterr().err == ""  # the toy city will be generated
    write_params(change(tree(), preprocess__val__root="data/raw/mine", train_inter__init="data/w.pth"))
    validate.run(PARAMS, OUT)
    root, note = capsys.readouterr().err.splitlines()
    assert root.startswith("note: preprocess.val.root: data/raw/mine does not exist in ")
    assert note.startswith("note: train_inter.init: data/w.pth does not exist in ")
    assert "`dvc exp run --temp` and `--queue`" in note and "`-C data/raw`" in note


def test_a_folder_of_other_texts_is_no_folder_for_hashes(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("notes/deep").mkdir(parents=True)
    Path("notes/deep/idea.txt").write_text("do not lose me\n")
    assert main(["validate", "--params", "params.yaml", "--out", "stamp.json", "--code", "notes"]) == 1
    assert "notes/deep/idea.txt: it is in a folder for hashes" in capsys.readouterr().err
    assert [path.name for path in Path("notes").rglob("*.txt")] == ["idea.txt"]


def test_the_hashes_of_the_code_are_written_where_they_are_asked_for() -> None:
    validate.run(PARAMS, OUT)
    assert not code_hash.FOLDER.exists()
    validate.run(PARAMS, OUT, code_hash.FOLDER)
    assert (code_hash.FOLDER / "rank.txt").read_text() == code_hash.texts()["rank.txt"]


@pytest.mark.parametrize(
    "changes, where, allowed",
    [
        ({"model__name": "large"}, "model.name", "small"),
        ({"train_inter__method": "gan"}, "train_inter.method", "advent"),
        ({"train_intra__method": "gan"}, "train_intra.method", "bn_only"),
        ({"preprocess__val__dataset": "gta"}, "preprocess.val.dataset", "gta5"),
        ({"preprocess__target__allow_absent": ["tram"]}, "preprocess.target.allow_absent", "car"),
        ({"rank__rare_classes": ["car", "tram"]}, "rank.rare_classes", "car"),
    ],
)
def test_an_unknown_name_is_refused(changes: dict[str, Any], where: str, allowed: str) -> None:
    write_params(change(tree(), **changes))
    with pytest.raises(UserError) as caught:
        validate.run(PARAMS, OUT)
    assert caught.value.where == f"params.yaml, {where}"
    assert allowed in caught.value.allowed
    assert not OUT.exists()


def test_train_source_accepts_only_source_only() -> None:
    write_params(change(tree(), train_source__method="advent"))
    with pytest.raises(UserError, match="train_source: method advent"):
        validate.run(PARAMS, OUT)


def test_a_wrong_value_is_refused_as_in_every_stage() -> None:
    write_params(change(tree(), rank__easy_fraction=1.2))
    with pytest.raises(UserError, match="rank.easy_fraction = 1.2"):
        validate.run(PARAMS, OUT)
