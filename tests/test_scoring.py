"""The loop over the images by itself; tests/test_stages.py runs the stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from intrada import files, labels, tables
from intrada.inference import Predictor
from intrada.scoring import score
from intrada.stage import Context
from tests.tiny_segmenter import build

CLASSES = labels.class_set(["sky", "road", "car"])
NAMES = list("abcde")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    for name in NAMES:
        files.write_image(Path(f"{name}.png"), random.integers(0, 256, (16, 24, 3), np.uint8))
    return pd.DataFrame([(name, f"{name}.png", "", 24, 16) for name in NAMES], columns=tables.INDEX_COLUMNS)


def run(index: pd.DataFrame, folder: Path, batch_size: int = 2) -> pd.DataFrame:
    torch.manual_seed(1)
    predictor = Predictor([build(len(CLASSES)).eval()])
    outs = folder / "predictions", folder / "confidence"
    for out in outs:
        out.mkdir(parents=True, exist_ok=True)
    context = Context("score", "0" * 32, Path("runs"))
    return score(predictor, index, batch_size, outs, CLASSES, torch.device("cpu"), context)


def test_the_number_of_threads_that_write_changes_no_byte(
    index: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables_written, bytes_written = [], []
    for workers in ("1", "3"):
        monkeypatch.setenv("INTRADA_WORKERS", workers)
        tables_written.append(run(index, Path(workers)))
        found = files.list_files(Path(workers))
        assert len(found) == 2 * len(NAMES)
        bytes_written.append([path.read_bytes() for path in found])
    assert tables_written[0].equals(tables_written[1]) and bytes_written[0] == bytes_written[1]


@pytest.mark.parametrize("name", NAMES)  # in the first, a middle and the last batch
def test_a_map_that_cannot_be_written_ends_the_run(index: pd.DataFrame, name: str) -> None:
    (Path("out/confidence") / f"{name}.png").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=f"{name}.png"):
        run(index, Path("out"))
