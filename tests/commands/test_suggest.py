"""The command suggest on a project with scores, with and without its raw images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.data import tables
from tests.support import tiny_project
from tests.support.tiny_project import change, tree, write_params

NAMES = ["a", "b", "c", "d", "e", "f"]  # a has the highest entropy; b looks like a


@pytest.fixture
def scored(checkout: Path) -> Path:
    """The working directory: six photographs, preprocessed and scored."""
    target = {"dataset": "folders", "root": "photos", "split": "all", "options": {"images": "*.png"}}
    params = tree()
    params["preprocess"]["target"] |= target
    write_params(change(params))
    rows = []
    for number, name in enumerate(NAMES):
        random = np.random.default_rng(0 if name == "b" else number)
        pixels = random.integers(0, 256, (8, 9, 3)).astype(np.uint8)
        files.write_image(Path(f"photos/{name}.png"), pixels)
        files.write_image(Path(f"resized/{name}.png"), pixels)
        rows.append((name, f"resized/{name}.png", "", 9, 8))
    index = pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)
    tables.write(Path("data/preprocess/target/index.csv"), index, tables.INDEX)
    scores = pd.DataFrame({"image": NAMES, "entropy": [0.9, 0.8, 0.7, 0.3, 0.2, 0.1], "pixels_sky": 1})
    tables.write(Path("results/score/scores.csv"), scores, tables.SCORES)
    return checkout


def test_the_most_entropic_images_are_printed_and_written_without_near_duplicates(
    scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suggest", "--images", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["photos/a.png", "0.900", "1"], ["photos/c.png", "0.700", "3"],
    ]  # fmt: skip
    table = tables.read(Path("label_next.csv"), tables.LABEL_NEXT)
    assert table["image"].tolist() == ["a", "c"] and "label_next.csv" in lines[-1]


def test_without_raw_images_the_resized_ones_are_named(scored: Path) -> None:
    shutil.rmtree("photos")
    assert main(["suggest", "--images", "1", "--out", "next.csv"]) == 0
    assert tables.read(Path("next.csv"), tables.LABEL_NEXT)["path"].tolist() == ["resized/a.png"]


def test_fewer_images_than_wanted_are_explained(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suggest", "--images", "6"]) == 0
    assert "5 of 6: the others are near-duplicates" in capsys.readouterr().out


def test_scores_of_other_images_are_refused(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    tables.write(Path("results/score/scores.csv"), scores.replace("f", "other"), tables.SCORES)
    assert main(["suggest"]) == 1
    assert "1 images that are not in data/preprocess/target/index.csv, other first" in capsys.readouterr().err
    assert not Path("label_next.csv").exists()


def test_a_project_without_scores_is_told_what_is_missing(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suggest"]) == 1
    assert "results/score/scores.csv" in capsys.readouterr().err
    assert tiny_project.PARAMS.exists()
