"""Text from outside (file names, metadata, params) on its way to a terminal, a table or a page.

Such a text may hold escape sequences of a terminal, marks that reverse the order of characters, or a formula
of a spreadsheet.
"""

from __future__ import annotations

import logging
import re
import sys
from types import TracebackType
from typing import TextIO

# What a spreadsheet takes for the start of a formula; some split lines at semicolons, not at commas.
_FORMULA = "[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]"
_BARE = re.compile(f"(^|;)('*{_FORMULA})")
_QUOTED = re.compile(f"(^|;)'('*{_FORMULA})")


def printable(text: object, keep: str = "") -> str:
    """Return str(text) with a backslash escape (\\x1b) for each character that is not printable.

    These are control characters, line breaks, marks that change the direction of text, and bytes of file
    names that are not UTF-8. keep: such characters that stay as they are.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in plain)


def say(*lines: object, to: TextIO | None = None) -> None:
    """Print lines, each `printable`, at once: the result of a command. to: default sys.stdout.

    Nothing else in this package prints. Characters that the encoding of the stream lacks are written as
    escapes, too.
    """
    stream = to or sys.stdout
    encoding = stream.encoding or "utf-8"
    for line in lines:
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


class _Printable(logging.Filter):
    """Makes the message of a log record one `printable` line, whatever handler writes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = printable(record.getMessage()), ()
        return True


class _Terminal(logging.Handler):
    """Prints messages to stderr as it is at the time, as `say` does."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage(), to=sys.stderr)


_PRINTABLE, _TERMINAL = _Printable(), _Terminal()


def logger(name: str) -> logging.Logger:
    """Return the logger of a module of this package, for all that is not the result of a command.

    Levels: DEBUG for details (`intrada -v`), INFO for notes, WARNING for what may be a mistake, ERROR.
    """
    found = logging.getLogger(name)
    found.addFilter(_PRINTABLE)
    return found


_LOG = logger("intrada")


def show(level: int = logging.INFO) -> None:
    """Print the messages of this level and above to stderr; each program of the package calls it first.

    A program that only imports the package configures the logger `intrada` as any other.
    """
    _LOG.propagate = False
    _LOG.addHandler(_TERMINAL)
    _LOG.setLevel(level)


def shown() -> int:
    """Return the lowest level of the messages that are shown."""
    return _LOG.getEffectiveLevel()


def is_bar_hidden() -> bool:
    """Return whether progress bars are hidden: stderr is no terminal, or notes are not shown."""
    return not sys.stderr.isatty() or shown() > logging.INFO


def complain(*lines: object) -> None:
    """Log lines, each as one error."""
    for line in lines:
        _LOG.error("%s", line)


def complain_of_errors() -> None:
    """Let Python print the traceback of an error that ends the program as `complain` prints lines."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        import traceback  # here, since no successful start needs it

        complain(*"".join(traceback.format_exception(kind, error, trace)).splitlines())

    sys.excepthook = hook


def csv_cell(text: str) -> str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula; `csv_text` returns the text again.

    A ' is written before a leading = + - @ (also full-width, tab, carriage return), or before one after a
    semicolon. If apostrophes precede it, one more is written. Any other text is returned as it is.
    """
    return _BARE.sub(r"\1'\2", text)


def csv_text(cell: str) -> str:
    """Return the text of which `csv_cell` made `cell`."""
    return _QUOTED.sub(r"\1\2", cell)


def markdown_cell(text: str) -> str:
    """Return a cell of a Markdown table that holds `text` as it is: on one line, without HTML."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
