"""UserError, the exception for mistakes that a user can fix, and the length of its texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from intrada.core.plain_text import printable


class UserError(Exception):
    """An error in the user's input: a file, a parameter or a command line.

    where: the file or parameter; found: its present content; allowed: the valid content; fix: what to do
    next; details: further lines about what was found. The message has all of them, with escapes for control
    characters, line breaks too, since they may hold names from outside. Any other exception is a bug of this
    project, shown with its traceback.
    """

    def __init__(
        self, where: str | Path, found: str, allowed: str, fix: str, details: Sequence[str] = ()
    ) -> None:
        self.where, self.found, self.allowed, self.fix = str(where), found, allowed, fix
        self.details = tuple(details)
        lines = [f"{where}: {found}", *details, f"  allowed: {allowed}", f"  do next: {fix}"]
        super().__init__("\n".join(map(printable, lines)))

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str, str, tuple[str, ...]]]:
        """Support pickling, which passes the error to another process."""
        return type(self), (self.where, self.found, self.allowed, self.fix, self.details)


def shortened(text: str, length: int) -> str:
    """Return `text`, cut to at most `length` characters; " ..." marks a cut."""
    return text if len(text) <= length else f"{text[: length - 4]} ..."
