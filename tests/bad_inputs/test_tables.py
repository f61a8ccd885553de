"""Invalid tables between the stages: edited by hand or truncated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from intrada.data import tables
from tests.support.bad_inputs_tree import MODEL, Stage, use

INDEX, TARGET = Path("data/preprocess/source/index.csv"), Path("data/preprocess/target/index.csv")
SCORES, SPLIT = Path("results/score/scores.csv"), Path("results/rank/split.csv")
VAL = Path("data/preprocess/val/index.csv")
READERS: dict[Path, tuple[str, dict[str, str]]] = {
    INDEX: ("train_source", {}),
    TARGET: ("score", {"model": MODEL}),
    VAL: ("evaluate@inter", {"model": MODEL}),
    SCORES: ("rank", {}),
    SPLIT: ("pseudo_label", {}),
}
Edit = Callable[[list[str]], list[str]]
ROW = "the table as its stage wrote it"
RERUN = "run its stage again"


def row(number: int, column: int, value: str) -> Edit:
    """Return an edit that replaces one cell; row 0 is the header."""

    def edit(lines: list[str]) -> list[str]:
        cells = lines[number].split(",")
        cells[column] = value
        return [*lines[:number], ",".join(cells), *lines[number + 1 :]]

    return edit


def without_column(column: int) -> Edit:
    def edit(lines: list[str]) -> list[str]:
        rows = [line.split(",") for line in lines]
        return [",".join(cells[:column] + cells[column + 1 :]) for cells in rows]

    return edit


def with_duplicate_row(lines: list[str]) -> list[str]:
    return [*lines, lines[1]]


CASES: list[tuple[str, Path, Edit, tuple[str, ...]]] = [
    ("a missing column", INDEX, without_column(3), ("no column width", "id, image, label, width, height")),
    ("a missing column", SCORES, without_column(1), ("no column entropy", "a CSV file with a header line")),
    ("a missing column", SPLIT, without_column(3), ("no column subset",)),
    ("no header", SPLIT, lambda lines: lines[1:], ("no column image, score, rank, subset",)),
    ("an unknown column", SCORES, lambda lines: [f"{line},1" for line in lines], ("'1' is not", ROW)),
    ("columns in another order", INDEX, lambda lines: [",".join(line.split(",")[::-1]) for line in lines], ("is not",)),
    ("a duplicate id", INDEX, with_duplicate_row, ("line 2, column id: 'a' is not", "line 5, column id: 'a'", RERUN)),
    ("a duplicate id", SCORES, with_duplicate_row, ("line 2, column image: 'p' is not", "line 6, column image: 'p'")),
    ("a duplicate id", SPLIT, with_duplicate_row, ("line 2, column image", "line 6, column rank: 1 is not")),
    ("an absolute path", INDEX, row(1, 1, "/etc/passwd"), ("line 2, column image: '/etc/passwd' is not valid: expected a relative",)),
    ("an absolute label", VAL, row(2, 2, "/etc/passwd"), ("line 3, column label: '/etc/passwd' is not valid: expected a relative",)),
    ("a path outside the project", TARGET, row(1, 1, "data/../../x.png"), ("'data/../../x.png' is not valid: expected a relative path",)),
    ("an id with a parent folder", SPLIT, row(1, 0, "../../x"), ("line 2, column image: '../../x' is not valid: expected a name",)),
    ("an id that is no name", INDEX, row(2, 0, "\0"), (r"'\x00' is not valid: expected a name",)),
    ("an id that is too long", SCORES, row(2, 0, "n" * 201), ("line 3, column image", "at most 200 bytes")),
    ("a missing image", INDEX, row(1, 1, "data/gone.png"), ("data/gone.png: no such file",)),
    ("a missing label", VAL, row(1, 2, "data/gone.png"), ("data/gone.png: no such file",)),
    ("a name too long for the file system", INDEX, row(1, 1, "n" * 300), (f"{'n' * 300}: a name that is too long",)),
    ("a null byte in a path", INDEX, row(1, 1, "a\0.png"), ("no such file or folder",)),
    ("a folder for an image", INDEX, row(1, 1, "data"), ("data: a folder, but a file is expected",)),
    ("no image", INDEX, row(1, 1, ""), ("line 2, column image: '' is not",)),
    ("a text as the width", INDEX, row(1, 3, "wide"), ("line 2, column width: 'wide' is not",)),
    ("a width of 0", INDEX, row(1, 3, "0"), ("line 2, column width: 0 is not",)),
    ("half a pixel", TARGET, row(1, 4, "31.5"), ("line 2, column height: 31.5 is not valid: Input should be a valid integer",)),
    ("a width beyond int64", INDEX, row(1, 3, "9" * 30), ("line 2, column width: 9999", "less than 9223372036854775808")),
    ("a text as the entropy", SCORES, row(2, 1, "low"), ("column entropy", "is not")),
    ("an entropy above 1", SCORES, row(2, 1, "1.5"), ("line 3, column entropy: 1.5 is not valid: Input should be less than or equal to 1",)),
    ("no entropy", SCORES, row(2, 1, ""), ("line 3, column entropy: nan is not",)),
    ("a negative number of pixels", SCORES, row(2, 2, "-1"), ("line 3, column pixels_sky: -1 is not",)),
    ("an unknown subset", SPLIT, row(2, 3, "medium"), ("line 3, column subset: 'medium' is not",)),
    ("a subset in capitals", SPLIT, row(2, 3, "Easy"), ("line 3, column subset: 'Easy' is not",)),
    ("a score that is nan", SPLIT, row(2, 1, "nan"), ("line 3, column score: nan is not",)),
    ("a rank of 0", SPLIT, row(1, 2, "0"), ("line 2, column rank: 0 is not",)),
    ("an image that no index has", SPLIT, row(1, 0, "stranger"), ("2 images are in the split or in the target",)),
    ("a missing row", SPLIT, lambda lines: lines[:-1], ("1 images are in the split or in the target index only",)),
    ("a row that is too long", INDEX, lambda lines: [*lines, lines[1] + ",more"], ("a CSV file with a header line",)),
    ("a truncated row", INDEX, lambda lines: [*lines, "d,data"], ("line 5, column",)),
    ("a quote that does not end", SPLIT, row(2, 0, '"q'), ("EOF inside string",)),
    ("another separator", SPLIT, lambda lines: [line.replace(",", ";") for line in lines], ("no column image",)),
    ("an empty file", SCORES, lambda lines: [], ("an empty file (0 bytes)", "run that stage again")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{path.stem}: {name}" for name, path, _, _ in CASES])
def test_an_invalid_table_is_refused_by_the_stage_that_reads_it(
    stage: Stage, case: tuple[str, Path, Edit, tuple[str, ...]]
) -> None:
    _, path, edit, phrases = case
    lines = edit(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))
    job, options = READERS[path]
    stage.refuses(job, *phrases, **options)


@pytest.mark.parametrize("path", READERS)
@pytest.mark.parametrize("content", [b"\xff\xfe,\n", b"\x89PNG\r\n\x1a\n"])
def test_a_binary_file_is_refused_as_a_table(stage: Stage, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    job, options = READERS[path]
    stage.refuses(job, f"{path}: ", "a CSV file with a header line", **options)


def test_scores_of_another_class_set_are_refused(stage: Stage) -> None:
    use(
        classes=["sky", "road", "bus"], rank__rare_classes=["bus"], rank__rule="published_normalized",
        preprocess__source__allow_absent=["bus"],
    )  # fmt: skip
    stage.refuses("rank", "scores: no column pixels_bus", "pixels_sky", "run `score` again")


@pytest.mark.parametrize(
    "domain, job", [("source", "train_source"), ("source", "train_inter"), ("target", "train_inter")]
)
def test_training_refuses_an_index_without_rows(stage: Stage, domain: str, job: str) -> None:
    Path(f"data/preprocess/{domain}/index.csv").write_text("id,image,label,width,height\n")
    name = "labelled" if domain == "source" else "target"
    stage.refuses(job, f"index of the {name} images: no image", "at least one")


def test_quotes_windows_line_ends_and_a_byte_order_mark_do_not_change_a_table(stage: Stage) -> None:
    stage.run("rank")
    before = SPLIT.read_bytes()
    text = SCORES.read_text().replace("p,", '"p",')
    SCORES.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    stage.run("rank")
    assert SPLIT.read_bytes() == before
    assert len(tables.read(SCORES, tables.SCORES)) == 4
