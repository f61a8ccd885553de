"""Files that a run over many cannot use: it does the others, lists these, and ends with an error."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from intrada.core import files
from intrada.core.errors import UserError, shortened
from intrada.core.plain_text import complain, printable

COLUMNS = ("image", "path", "reason", "fix")
SHOWN = 10  # failed files in the message; the list has all


class Failures:
    """The errors of a run, each with the name of its image. strict: raise the first one instead."""

    def __init__(self, strict: bool) -> None:
        self.strict, self.errors = strict, list[tuple[str, UserError]]()

    def add(self, image: str, error: UserError) -> None:
        """Note that `image` cannot be used; `error.where` is its file. Raise the error if `strict`."""
        if self.strict:
            raise error
        self.errors.append((image, error))

    def finish(self, table: Path, total: int) -> None:
        """Write the list of the failures beside `table` and raise UserError; without any, remove an old list.

        table: the results of the other files, already written; total: the number of all files. The first
        failures are printed to stderr.
        """
        path = _list_of(table)
        if not self.errors:
            path.unlink(missing_ok=True)
            return
        rows = [
            tuple(map(printable, (image, error.where, error.found, error.fix)))
            for image, error in self.errors
        ]
        files.write_csv(path, pd.DataFrame(rows, columns=list(COLUMNS)))
        for _, where, found, _ in rows[:SHOWN]:
            complain(f"{shortened(where, 120)}: {shortened(found, 200)}")
        if len(rows) > SHOWN:
            complain(f"and {len(rows) - SHOWN} more, all in {printable(str(path))}")
        _, first = self.errors[0]
        raise UserError(
            path,
            f"{len(rows)} of {total} files cannot be used, as above; the results of the others are complete",
            f"for the first: {first.allowed}",
            f"for the first: {first.fix}; then run the same command again (--strict stops at the first)",
        )


def refuse_incomplete(table: Path, images: Collection[str]) -> None:
    """Raise UserError if the list beside `table` names a failed image that is not in it, one of `images`."""
    path = _list_of(table)
    if not path.exists():
        return
    missing = [image for image in files.read_csv(path, COLUMNS)["image"] if image not in set(images)]
    if missing:
        raise UserError(
            table,
            f"{len(missing)} images are missing, as {path} says: {shortened(', '.join(missing), 200)}",
            "a table of all images",
            "repair or replace these images, then run the stage that writes the table again",
        )


def _list_of(table: Path) -> Path:
    return table.with_suffix(f".failed{table.suffix}")
