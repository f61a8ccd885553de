"""Text from outside in the terminal, in tables and in pages."""

from __future__ import annotations

import csv
import io
import logging
import pickle
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intrada.__main__ import main
from intrada.core import files
from intrada.core.errors import UserError
from intrada.core.plain_text import (
    complain,
    complain_of_errors,
    csv_cell,
    csv_text,
    logger,
    markdown_cell,
    printable,
    say,
    show,
    shown,
)

# Escape sequences (also of one byte), line breaks, a bell, marks that reverse text, bytes that are not UTF-8
RAW = ["\x1b[2J", "\x9b31m", "a\nb", "a\rb", "a\tb", "\x07", "\x7f", "a\u202eb", "\u2066", "\u2028", "\udcff"]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-1", "a;=1", "a;'@b", ";;-1", "\uff1d1"]
PLAIN = ["a", "", "'", "'a", "a=b", "a-1", "1e-5", "Straße", "a;b", "a, b", 'say "="', " =1", "#5", "日本語"]


@pytest.mark.parametrize("text", RAW)
def test_no_control_character_reaches_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    complain(text)
    for output in capsys.readouterr():
        assert output.endswith("\n") and output[:-1].isprintable() and len(output) > len(text) + 1


@pytest.mark.parametrize("text", [*RAW, "100 % of %s", "{}"])
def test_a_message_is_one_safe_line_for_every_handler(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen = list[str]()

    class Own(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(self.format(record))

    handler = Own()
    logging.getLogger("intrada").addHandler(handler)
    try:
        logger("intrada.of_a_test").warning(text)
    finally:
        logging.getLogger("intrada").removeHandler(handler)
    assert seen == [printable(text)]
    assert capsys.readouterr() == ("", f"{printable(text)}\n")


def test_levels_decide_which_messages_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    log = logger("intrada.of_a_test")
    for level, lines in {logging.DEBUG: 4, logging.INFO: 3, logging.WARNING: 2}.items():
        show(level)
        assert shown() == level
        for at in (logging.DEBUG, logging.INFO, logging.WARNING):
            log.log(at, "text")
        complain("an error")
        assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_traceback_has_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    complain_of_errors()
    try:
        raise ValueError("a\x1b[2J\nb")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.excepthook = sys.__excepthook__
    error = capsys.readouterr().err
    assert r"ValueError: a\x1b[2J" in error and error.replace("\n", "").isprintable()


def test_what_the_stream_cannot_encode_is_shown_as_an_escape() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("Straße", to=stream)
    assert stream.buffer.getvalue() == rb"Stra\xdfe" + b"\n"  # type: ignore[attr-defined]


@given(st.text())
def test_printable_text_is_shown_as_it_is_and_any_other_as_an_escape(text: str) -> None:
    safe = printable(text)
    assert safe.isprintable() and (safe == text) == text.isprintable()


@pytest.mark.parametrize("text", RAW)
def test_a_message_has_four_parts_and_no_control_character(text: str) -> None:
    error = UserError(Path(text), text, text, text)
    lines = str(error).split("\n")
    assert len(lines) == 3 and all(line.isprintable() for line in lines)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
    assert error.found == text


@pytest.mark.parametrize("text", RAW)
def test_an_argument_that_is_no_option_is_shown_with_escapes(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["rank", "--scores", "a", "--out", "b", f"--{text}"])
    error = capsys.readouterr().err
    assert printable(text) in error and "".join(error.split("\n")).isprintable()


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    cell = csv_cell(text)
    assert "'" in cell and csv_text(cell) == text
    assert not any(part.startswith(tuple("=+-@\t\r\uff1d")) for part in cell.split(";"))


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_are_written_as_they_are(text: str) -> None:
    assert csv_cell(text) == text == csv_text(text)


@given(st.text(alphabet="'=+-@;\t\ra1\uff0b"))
def test_every_text_is_read_as_it_was(text: str) -> None:
    assert csv_text(csv_cell(text)) == text


def test_tables_hold_no_formula_and_are_read_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    texts = [*FORMULAS[:5], *FORMULAS[6:], *PLAIN]
    table = pd.DataFrame({"id": texts, "=header": [-0.5] * len(texts), "class": texts})
    table["count"] = range(-3, len(texts) - 3)
    files.write_csv(path, table)
    with path.open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    assert header == ["id", "'=header", "class", "count"]
    assert {row[1] for row in rows} == {"-0.5"} and rows[0][3] == "-3"  # numbers stay numbers
    assert all(row[0] == csv_cell(text) == row[2] for row, text in zip(rows, texts, strict=True))
    back = files.read_csv(path)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)


def test_tables_of_usual_names_have_the_bytes_that_pandas_writes(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": PLAIN, "score": 0.1, "n": -1, "empty": None, "flag": True})
    for frame in (table, table.head(0), pd.DataFrame()):
        files.write_csv(tmp_path / "a.csv", frame)
        assert (tmp_path / "a.csv").read_text() == frame.to_csv(index=False, lineterminator="\n")


def test_a_cell_of_a_markdown_table_is_one_cell_without_html() -> None:
    assert markdown_cell("a | <b>\n| & c") == r"a \| &lt;b>\n\| &amp; c"
    assert markdown_cell("IntraDA + half (λ = 0.67)") == "IntraDA + half (λ = 0.67)"
