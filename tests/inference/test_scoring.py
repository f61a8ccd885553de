"""Unit tests of the scoring loop; tests/stages/test_stages.py runs the stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.core.stage import Context
from intrada.data import tables
from intrada.inference.predictor import Predictor
from intrada.inference.scoring import score
from intrada.methods import near_ties, ranking
from tests.support.tiny_segmenter import build

CLASSES = class_set(["sky", "road", "car"])
NAMES = list("abcde")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    for name in NAMES:
        files.write_image(Path(f"{name}.png"), random.integers(0, 256, (16, 24, 3), np.uint8))
    return pd.DataFrame([(name, f"{name}.png", "", 24, 16) for name in NAMES], columns=tables.INDEX_COLUMNS)


def run(index: pd.DataFrame, folder: Path, batch_size: int = 2, bf16: bool = False) -> pd.DataFrame:
    torch.manual_seed(1)
    network = build(len(CLASSES)).eval()
    with torch.no_grad():
        network.main.weight.mul_(10)  # for more confident predictions than those of random weights
    predictor = Predictor([network], bf16=bf16)
    outs = folder / "predictions", folder / "confidence"
    for out in outs:
        out.mkdir(parents=True, exist_ok=True)
    context = Context("score", "0" * 32, Path("runs"))
    return score(predictor, index, batch_size, outs, CLASSES, torch.device("cpu"), context)


def test_the_outputs_do_not_depend_on_the_number_of_writer_threads(
    index: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables_written, bytes_written = [], []
    for workers in ("1", "3"):
        monkeypatch.setenv("INTRADA_WORKERS", workers)
        tables_written.append(run(index, Path(workers)))
        paths = files.list_files(Path(workers))
        assert len(paths) == 2 * len(NAMES)
        bytes_written.append([path.read_bytes() for path in paths])
    assert tables_written[0].equals(tables_written[1]) and bytes_written[0] == bytes_written[1]


@pytest.mark.parametrize("name", NAMES)  # in the first, a middle and the last batch
def test_a_map_that_cannot_be_written_ends_the_run(index: pd.DataFrame, name: str) -> None:
    (Path("out/confidence") / f"{name}.png").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=f"{name}.png"):
        run(index, Path("out"))


def test_bfloat16_gives_the_same_split_except_for_near_ties(index: pd.DataFrame, tmp_path: Path) -> None:
    """The images differ in contrast and so in entropy; every image that changes its subset is a near tie."""
    random = np.random.default_rng(2)
    rows = []
    for number in range(40):
        pixels = 128 + (random.random((16, 24, 3)) - 0.5) * 6.3 * number
        files.write_image(Path(f"{number}.png"), pixels.astype(np.uint8))
        rows.append((str(number), f"{number}.png", "", 24, 16))
    many = pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)
    scores = {bf16: run(many, tmp_path / str(bf16), 40, bf16) for bf16 in (False, True)}
    difference = (scores[True]["entropy"] - scores[False]["entropy"]).abs()
    tolerance = near_ties.bf16_tolerance(len(CLASSES))
    assert 0 < difference.max() < tolerance and scores[False]["entropy"].std() > 4 * tolerance
    changed = near = 0
    for easy in range(1, 40):
        exact, rounded = (ranking.rank(scores[bf16], "mean_entropy", easy / 40) for bf16 in (False, True))
        differs = exact["subset"] != exact["image"].map(rounded.set_index("image")["subset"])
        ties = near_ties.near_ties(exact, "mean_entropy", len(CLASSES))
        assert ties[differs].all()
        changed, near = changed + int(differs.sum()), near + int(ties.sum())
    assert 0 < changed < near < 39 * 40 / 2
