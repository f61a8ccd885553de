"""`intrada data` describes folders in params.yaml, with which `check` passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core.config import load as params_file
from intrada.core.config import plain_yaml
from intrada.training import step_timing
from intrada.training.step_timing import StageTime
from tests.support.own_data import label, photo
from tests.support.tiny_project import PARAMS

ANSWERS = ("--names", "0=sky, 1=traffic sign, 2=my own")


@pytest.fixture
def folders(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(step_timing, "measure_all", lambda *_: [StageTime(1, 0.1, 1.0, 1.0, 1.0)] * 3)
    monkeypatch.setattr(step_timing, "is_busy", lambda _: False)
    for domain, count in {"day": 4, "night": 6}.items():
        for number in range(count):
            photo(checkout / f"photos/{domain}/images/{number}.jpg")
            label(checkout / f"photos/{domain}/labels/{number}.png", [0, 1, 2])
    return ["photos/day", "photos/night"]


def test_nothing_is_written_without_the_option(
    folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = PARAMS.read_bytes()
    assert main(["data", *folders, *ANSWERS]) == 0
    out = capsys.readouterr().out
    assert PARAMS.read_bytes() == before and not Path("params.yaml.bak").exists()
    assert (
        "  1          34.4%  traffic sign\n" in out
        and "mapping: {sky: [0], traffic sign: [1], my own: [2]}" in out
    )
    assert (
        "? target: is the guess right (0=sky, 1=traffic sign, 2=my own)? --target-names says otherwise" in out
    )


def test_what_is_written_passes_the_check(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = PARAMS.read_bytes()
    assert main(["data", *folders, *ANSWERS, "--write", "--set", "rank.easy_fraction=0.4"]) == 0
    assert "the old one is params.yaml.bak" in capsys.readouterr().out
    assert Path("params.yaml.bak").read_bytes() == before
    params = params_file.load(PARAMS)
    assert params.class_set.names == ["sky", "traffic sign", "my own"]
    assert params.rank.easy_fraction == 0.4 and params.preprocess.target.split == "range:0:4"
    roots = ["--source", "photos/day", "--target", "photos/night", "--val", "photos/night"]
    assert main(["check", *roots, "--stamp", "stamp.json", "--out", "found.json"]) == 0
    assert main(["validate"]) == 0


def test_the_rest_of_the_file_keeps_its_values(folders: list[str]) -> None:
    before: Any = plain_yaml.read(PARAMS)
    assert main(["data", *folders, "--write"]) == 0
    after: Any = plain_yaml.read(PARAMS)
    assert {key for key in before if before[key] != after[key]} == {
        "classes", "toycity", "preprocess", "train_source", "train_inter", "train_intra", "rank", "report",
    }  # fmt: skip
    assert [entry["name"] for entry in after["classes"]] == ["id 0?", "id 1?", "id 2?"]


def test_one_folder_is_shown_alone(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", folders[0]]) == 0
    out = capsys.readouterr().out
    assert "images    4 at images/*.jpg, 48x32 pixels" in out and "params.yaml" in out.splitlines()[-1]


@pytest.mark.parametrize("text", ["", "0", "0=", "=sky", "0=sky, 0=road", "0=sky,"])
def test_answers_have_one_form(text: str, folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *folders, "--names", text]) == 1
    assert "VALUE=NAME" in capsys.readouterr().err
