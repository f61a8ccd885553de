"""Own folders as source, target and evaluation data, and as blocks of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import own_blocks, own_data
from intrada.data.datasets import label_values
from intrada.data.own_data import Folder
from tests.support.own_data import colors, label, photo

CONTEXT = Context("data", "", Path("runs"))
NAMES = {"0": "sky", "1": "road", "7": "my own", "255": "ignore"}


def pairs(top: Path, values: list[int], count: int = 6) -> Path:
    for number in range(count):
        photo(top / f"images/{number}.jpg")
        label(top / f"labels/{number}.png", values)
    return top


def described(found: dict[str, Folder], *answers: Any) -> dict[str, Any]:
    return own_blocks.blocks(found, own_blocks.meanings(found, *answers))


def test_a_labelled_target_keeps_its_last_third_for_evaluation(tmp_path: Path) -> None:
    found = own_data.look([pairs(tmp_path / "a", [0, 1]), pairs(tmp_path / "b", [0, 1], 7)], CONTEXT)
    assert [found[role].split for role in ("source", "target", "val")] == ["all", "range:0:5", "range:5:7"]
    assert len(found["val"].survey.items) == 2


def test_an_unlabelled_target_is_evaluated_whole_and_its_other_files_are_named(tmp_path: Path) -> None:
    for number in range(4):
        photo(tmp_path / f"b/{number}.jpg")
    for name in ("Thumbs.txt", "old.gif"):
        (tmp_path / "b" / name).touch()
    found = own_data.look([pairs(tmp_path / "a", [0, 1]), tmp_path / "b"], CONTEXT)
    assert found["val"].split == "all" and found["val"].values is None
    assert found["target"].ignored == {".txt files": ["Thumbs.txt"], ".gif files": ["old.gif"]}
    blocks = described(found, {"0": "sky", "1": "road"}, {})
    assert blocks["preprocess.val"]["options"]["labels"] is None


def test_shares_are_those_of_the_pixels(tmp_path: Path) -> None:
    found = own_data.look([pairs(tmp_path / "a", [0, 1, 1, 255])], CONTEXT)
    values = found["source"].values
    assert values and values.shares == {"0": 0.25, "1": 0.5, "255": 0.25}
    assert (values.read, values.total, values.unreadable) == (6, 6, 0)


def test_answers_give_the_classes_and_a_value_without_one_is_a_question(tmp_path: Path) -> None:
    found = own_data.look([pairs(tmp_path / "a", [0, 1, 7, 255]), pairs(tmp_path / "b", [0, 3])], CONTEXT)
    blocks = described(found, NAMES, {})
    sky, road, own = blocks["classes"]
    assert (sky, road, own["name"]) == ("sky", "road", "my own")
    options = blocks["preprocess.source"]["options"]
    assert options["mapping"] == {"sky": [0], "road": [1], "my own": [7]} and options["ignore"] == [255]
    assert blocks["preprocess.target"]["options"]["labels"] is None  # nobody said what 0 and 3 are
    partly = described(found, {"0": "sky"}, {})
    assert [entry if isinstance(entry, str) else entry["name"] for entry in partly["classes"]] == [
        "sky", "id 1?", "id 7?",
    ]  # fmt: skip
    mapped = described(found, NAMES, {"0": "road", "3": "sky"})["preprocess.val"]
    assert mapped["options"]["mapping"] == {"road": [0], "sky": [3]} and mapped["allow_absent"] == ["my own"]


def test_the_same_values_are_guessed_to_be_the_same_classes_and_asked(
    tmp_path: Path, params_tree: dict[str, Any]
) -> None:
    found = own_data.look([pairs(tmp_path / "a", [0, 1]), pairs(tmp_path / "b", [1, 0])], CONTEXT)
    known = own_blocks.meanings(found, {"0": "sky", "1": "road"}, {})
    assert {one.kind for one in known["target"].values()} == {"guess"}
    assert own_blocks.blocks(found, known)["preprocess.val"]["options"]["mapping"] == {
        "sky": [0],
        "road": [1],
    }
    [question] = own_blocks.questions(found, known, Params.model_validate(params_tree))
    assert question.startswith("target: is the guess right (0=sky, 1=road)?")


def test_an_answer_about_a_value_that_is_not_there_is_refused(tmp_path: Path) -> None:
    found = own_data.look([pairs(tmp_path / "a", [0, 1])], CONTEXT)
    with pytest.raises(UserError, match="--names: 7 not in the labels"):
        own_blocks.meanings(found, {"7": "sky"}, {})


def test_a_source_without_labels_is_refused(tmp_path: Path) -> None:
    photo(tmp_path / "a/1.jpg")
    found = own_data.look([tmp_path / "a", pairs(tmp_path / "b", [0, 1])], CONTEXT)
    with pytest.raises(UserError, match="no labels"):
        described(found, {}, {})


def test_colours_of_cityscapes_are_guessed_and_others_are_not(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / f"rgb/{number}.jpg")
        colors(tmp_path / f"seg/{number}.png", [(128, 64, 128), (128, 64, 128), (1, 2, 3)])
    [folder] = own_data.look([tmp_path], CONTEXT).values()
    assert folder.values and list(folder.values.shares) == ["#804080", "#010203"]
    assert label_values.guesses(folder.values, "seg/{stem}.png") == {
        "#804080": ("road", "its colour #804080 is that of Cityscapes")
    }


def test_each_class_has_a_colour_of_its_own() -> None:
    names = [f"class {number}" for number in range(60)]
    chosen = label_values.colors_for(names, {"class 3": "#0a0b0c", "class 4": "#0a0b0c"})
    assert chosen["class 3"] == [10, 11, 12] and len({tuple(color) for color in chosen.values()}) == 60
