"""Links in raw data that DVC does not follow, found before a run starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.file_lists import folder_link_error

_NAMED = 5  # broken links in an error


def check_links(params: Params, project: Path = Path()) -> None:
    """Raise UserError for a link to a folder, or a broken link, below a root of the params.

    DVC ignores the former: a folder that is linked later makes no stage stale, so no stage would refuse it.
    It fails at the latter without advice. Links to files are followed, and so is a root that is a link.
    project: the folder that the roots are relative to.
    """
    for root in sorted({project / block.root for block in params.domains.values()}):
        links = sorted(_links(root))
        if broken := [link for link in links if not link.exists()]:
            names = ", ".join(str(link) for link in broken[1:_NAMED]) + ", ..." * (len(broken) > _NAMED)
            more = f"; {len(broken) - 1} more links are broken: {names}" if len(broken) > 1 else ""
            raise UserError(
                broken[0],
                f"a link to {broken[0].readlink()}, which does not exist{more}",
                f"links below {root} that lead to a file",
                "restore the file that the link leads to, or remove the link",
            )
        if folders := [link for link in links if link.is_dir()]:
            raise folder_link_error(root, folders)


def check_links_of(project: Path) -> None:
    """Check the roots of params.yaml in the folder `project`; nothing if there is no such file."""
    path = project / "params.yaml"
    if path.exists():
        check_links(load(path), Path(os.path.relpath(project)))  # short names in messages


def _links(folder: str | Path) -> Iterator[Path]:
    """Yield the links below a folder. A folder that cannot be read has none: its stage will name it."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry)
            elif entry.is_dir():
                yield from _links(entry.path)
