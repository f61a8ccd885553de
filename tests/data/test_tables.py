from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from intrada.core.errors import UserError
from intrada.data import tables

INDEX = "id,image,label,width,height\n"
SCORES = "image,entropy,pixels_sky,pixels_road\n"
SPLIT = "image,score,rank,subset\n"
IMAGES = "id,image,label,width,height,entropy,subset,mIoU,pixel_accuracy\n"


def refused(path: Path, text: str, schema: object) -> str:
    """Return `found` of the UserError for the table."""
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        tables.read(path, schema)
    assert caught.value.where == str(path)
    return caught.value.found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize(
    "schema, text",
    [
        (tables.INDEX, INDEX + "007,a b.png,,4,2\nNA,c.png,d/e.png,1,1\n"),
        (tables.SCORES, SCORES + "007,0,0,8\nNA,1.0,8,0\n"),
        (tables.SPLIT, SPLIT + "007,1.5,1,easy\nNA,2,2,hard\n"),
        (tables.IMAGES, IMAGES + "007,a.png,,4,2,0.25,easy,,\nNA,c.png,d.png,1,1,1,hard,50,75.5\n"),
    ],
)
def test_a_table_is_the_same_after_reading_and_writing(path: Path, schema: object, text: str) -> None:
    path.write_text(text)
    frame = tables.read(path, schema)
    assert frame.iloc[:, 0].tolist() == ["007", "NA"]
    tables.write(path, frame, schema)
    pd.testing.assert_frame_equal(tables.read(path, schema), frame)


@pytest.mark.parametrize(
    "schema, text, words",
    [
        (tables.INDEX, INDEX + "a,a.png,,4,2\nb,b.png,,0,2\n", "line 3, column width: 0 is not"),
        (tables.INDEX, INDEX + "a,a.png,,4,2\nb,b.png,,4,x\n", "line 3, column height: 'x' is not"),
        (tables.INDEX, INDEX + "a,a.png,,4,\n", "line 2, column height: nan is not"),
        (
            tables.INDEX,
            INDEX + "a,a.png,,4.5,2\n",
            "line 2, column width: 4.5 is not valid: Input should be a valid integer",
        ),
        (tables.INDEX, INDEX + ",a.png,,4,2\n", "line 2, column id: '' is not"),
        (tables.INDEX, INDEX + "a,,,4,2\n", "line 2, column image: '' is not"),
        (tables.SCORES, SCORES + "a,0.5,0,8\nb,1.5,0,8\n", "line 3, column entropy: 1.5 is not"),
        (tables.SCORES, SCORES + "a,,0,8\n", "line 2, column entropy: nan is not"),
        (tables.SCORES, SCORES + "a,0.5,0,-8\n", "line 2, column pixels_road: -8 is not"),
        (tables.SPLIT, SPLIT + "a,1,1,middling\n", "line 2, column subset: 'middling' is not"),
        (tables.SPLIT, SPLIT + "a,1,0,easy\n", "line 2, column rank: 0 is not"),
    ],
)
def test_the_error_for_a_wrong_value_has_its_line_and_column(
    path: Path, schema: object, text: str, words: str
) -> None:
    assert refused(path, text, schema).startswith(words)


@pytest.mark.parametrize("outside", ["../a.png", "data/../../a.png", "/data/a.png"])
@pytest.mark.parametrize("column", ["image", "label"])
def test_a_path_outside_the_project_is_refused(path: Path, column: str, outside: str) -> None:
    row = {"image": "a.png", "label": "b.png"} | {column: outside}
    message = refused(path, f"{INDEX}a,{row['image']},{row['label']},4,2\n", tables.INDEX)
    assert (
        message
        == f"line 2, column {column}: '{outside}' is not valid: expected a relative path inside the project"
    )


@pytest.mark.parametrize(
    "schema, text",
    [
        (tables.INDEX, INDEX + "../a,a.png,,4,2\n"),
        (tables.SCORES, SCORES + "../a,0.5,0,8\n"),
        (tables.SPLIT, SPLIT + "/etc/a,1,1,easy\n"),
        (tables.IMAGES, IMAGES + "b/a,a.png,,4,2,0.25,easy,,\n"),
    ],
)
def test_an_id_with_a_slash_is_refused(path: Path, schema: object, text: str) -> None:
    assert "expected a name without /" in refused(path, text, schema)


@pytest.mark.parametrize(
    "schema, text, column",
    [
        (tables.INDEX, INDEX + "a,a.png,,4,2\nb,b.png,,4,2\na,c.png,,4,2\n", "id"),
        (tables.SCORES, SCORES + "a,0,0,8\nb,0,0,8\na,1,0,8\n", "image"),
        (tables.SPLIT, SPLIT + "a,0,1,easy\nb,0,2,easy\na,1,3,hard\n", "image"),
    ],
)
def test_the_error_for_a_duplicate_image_has_both_lines(
    path: Path, schema: object, text: str, column: str
) -> None:
    message = refused(path, text, schema)
    assert message.startswith(f"line 2, column {column}: 'a'")
    assert f"line 4, column {column}: 'a'" in message and "'b'" not in message


def test_a_duplicate_rank_is_refused(path: Path) -> None:
    assert "column rank" in refused(path, SPLIT + "a,0,1,easy\nb,0,1,easy\n", tables.SPLIT)


def test_missing_unknown_and_unordered_columns_are_refused(path: Path) -> None:
    assert "no column height" in refused(path, "id,image,label,width\n", tables.INDEX)
    assert refused(path, INDEX[:-1] + ",extra\na,a.png,,4,2,1\n", tables.INDEX).startswith("'extra' is not")
    assert "'image' is not" in refused(path, "image,id,label,width,height\na,a,,4,2\n", tables.INDEX)


def test_an_error_has_five_wrong_values_and_the_number_of_others(path: Path) -> None:
    message = refused(path, INDEX + "".join(f"{n},a.png,,0,2\n" for n in range(8)), tables.INDEX)
    assert message.count("line ") == 5 and message.endswith("; and 3 more")


@pytest.mark.parametrize(
    "schema, header",
    [(tables.INDEX, INDEX), (tables.SCORES, SCORES), (tables.SPLIT, SPLIT), (tables.IMAGES, IMAGES)],
)
def test_a_table_without_rows_is_valid(path: Path, schema: object, header: str) -> None:
    path.write_text(header)
    frame = tables.read(path, schema)
    assert frame.empty and list(frame.columns) == header.strip().split(",")
    tables.write(path, frame, schema)
    assert path.read_text() == header


def test_a_wrong_table_is_not_written(path: Path) -> None:
    frame = pd.DataFrame([("a", "../a.png", "", 4, 2)], columns=tables.INDEX_COLUMNS)
    with pytest.raises(Exception, match="a relative path inside the project"):
        tables.write(path, frame, tables.INDEX)
    assert not path.exists()


def test_evaluation_images_are_read_with_or_without_subset(path: Path) -> None:
    path.write_text(INDEX + "a,a.png,,4,2\n")
    assert "subset" not in tables.read_images(path)
    path.write_text(IMAGES + "a,a.png,,4,2,0.5,hard,,\n")
    assert tables.read_images(path)["subset"].tolist() == ["hard"]
    path.write_text(IMAGES + "a,a.png,,4,2,1.5,hard,,\n")
    with pytest.raises(UserError, match="column entropy"):
        tables.read_images(path)


def test_the_files_of_an_index_are_its_images_and_labels(path: Path) -> None:
    path.write_text(INDEX + "a,a.png,b.png,4,2\nc,c.png,,4,2\n")
    assert tables.files_of(path) == [Path("a.png"), Path("c.png"), Path("b.png")]
    path.write_text(INDEX)
    assert tables.files_of(path) == []


def test_floats_are_written_without_loss(path: Path) -> None:
    value = 0.1 + 0.2
    frame = pd.DataFrame({"image": ["a"], "entropy": [value], "pixels_sky": [1]})
    tables.write(path, frame, tables.SCORES)
    assert tables.read(path, tables.SCORES)["entropy"].item() == value
