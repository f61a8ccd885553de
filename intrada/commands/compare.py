"""Compare finished runs side by side: results folders, Git revisions or DVC experiments."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from intrada.core import files
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Out
from intrada.evaluation.reporting import comparison
from intrada.evaluation.reporting.comparison import Run
from intrada.evaluation.reporting.page import compare
from intrada.evaluation.reporting.results import decimal
from intrada.pipeline import revisions

DEFAULT_OUT = Path("compare")


def run(
    runs: Annotated[
        list[str],
        Argument("two runs or more: results folders, Git revisions or experiments", required=True, many=True),
    ],
    out: Annotated[
        Path | None, Out(f"folder of the page and its table; default: {DEFAULT_OUT}", optional=True)
    ] = None,
) -> None:
    """Write OUT/index.html, table.csv and images.csv, and print the table.

    Differences are those to the first run. `.` is the present state of this project.
    """
    if len(runs) < 2 or len(set(runs)) < len(runs):
        raise UserError("compare", " ".join(runs), "two different runs or more", "name another run")
    with TemporaryDirectory() as temporary:
        read = [_read(name, Path(temporary) / str(number)) for number, name in enumerate(runs)]
        changed = comparison.images(read)
        page = compare.render(read, changed)
        table = comparison.as_table(read)
    with files.atomic_folder(out or DEFAULT_OUT) as folder:
        (folder / "index.html").write_text(page, encoding="utf-8", newline="\n")
        files.write_csv(folder / "table.csv", table)
        files.write_csv(folder / "images.csv", changed)
    _print(read)
    say(f"page: {out or DEFAULT_OUT}/index.html")


def _read(name: str, temporary: Path) -> Run:
    """Return the run of a folder that exists, else of a revision, whose files are copied to `temporary`."""
    given = Path(name)
    name = "workspace" if name == "." else name  # as in the tables of DVC
    if not given.is_dir():
        return comparison.read(name, *revisions.fetch(name, Path.cwd(), temporary))
    folder = given if (given / "evaluate").is_dir() else given / "results"

    def file(path: str) -> Path | None:
        candidates = (folder.parent / path, Path(path))
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    return comparison.read(name, folder, file)


def _print(runs: list[Run]) -> None:
    """Print the params that differ and the metrics in percent, each with its difference to the first run."""
    rows = [["", *(run.name for run in runs), *(f"{run.name} - {runs[0].name}" for run in runs[1:])]]
    rows += [[key, *values, *[""] * (len(runs) - 1)] for key, values in comparison.params(runs)]
    for row in comparison.metrics(runs):
        digits = 3 if row.name.endswith(comparison.LABEL_FREE) else 1
        changes = ["-" if value is None else f"{value:+z.{digits}f}" for value in row.differences]
        rows.append([row.name, *(decimal(value, digits) for value in row.values), *changes])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        numbers = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        say("  ".join([name.ljust(widths[0]), *numbers]).rstrip())
