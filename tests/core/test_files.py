"""Tables and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from intrada.core import files
from intrada.core.errors import UserError

# ---------------------------------------------------------------- tables


def test_a_table_survives_a_round_trip(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["00001", "NA", "nan"],
            "label": ["", "a,b", 'quo"ted'],
            "score": [0.1 + 0.2, 1e-17, 1 / 3],
            "width": [1, 2, 3],
        }
    )
    files.write_csv(tmp_path / "t.csv", frame)
    pd.testing.assert_frame_equal(files.read_csv(tmp_path / "t.csv"), frame, check_exact=True)


def test_ids_that_look_like_numbers_and_labels_that_are_all_missing_are_read_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["00001", "2"], "label": ["", ""]})
    files.write_csv(tmp_path / "t.csv", frame)
    assert files.read_csv(tmp_path / "t.csv").to_numpy().tolist() == [["00001", ""], ["2", ""]]


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "t.csv", pd.DataFrame({"id": [], "width": []}))
    frame = files.read_csv(tmp_path / "t.csv", ["id", "width"])
    assert frame.empty and list(frame.columns) == ["id", "width"]


@pytest.mark.parametrize(
    "content, found",
    [
        (b"", r"an empty file"),
        (b'id,width\n"1,2\n', "EOF inside string"),
        (b"id,width\n1,2\n1,2,3\n", "Expected 2 fields"),
        (b"id,width\n1,2,3\n", "loss of data"),
        (b"\xff\xfe\x00", "codec"),
        (b"id,height\n1,2\n", "no column width"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"t\.csv: .*{found}"):
        files.read_csv(path, ["width"])


def test_nan_is_refused_in_json(tmp_path: Path) -> None:
    files.write_json(tmp_path / "m.json", {"miou": 46.3, "none": None})
    assert json.loads((tmp_path / "m.json").read_text()) == {"miou": 46.3, "none": None}
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "m.json", {"miou": float("nan")})
    assert (tmp_path / "m.json").exists()
