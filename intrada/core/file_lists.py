"""Find the files below a folder; without pandas, which the modules that DVC starts do not need."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence
from pathlib import Path

from intrada.core.errors import UserError
from intrada.core.file_errors import unreadable

# Names of files and folders that operating systems and file servers write anywhere, as in .dvcignore
SYSTEM_FILES = (
    *(".DS_Store", "._*", "__MACOSX", ".Spotlight-V100", ".Trashes", ".Trash-*", ".fseventsd"),
    *("[Tt]humbs.db", "[Dd]esktop.ini", "$RECYCLE.BIN", "System Volume Information"),
    *("@eaDir", ".directory", ".nfs*"),
)
_SYSTEM = re.compile("|".join(map(fnmatch.translate, SYSTEM_FILES)))


def list_files(folder: Path, folder_links: bool = True) -> list[Path]:
    """Return every file below `folder`, sorted by relative name, without SYSTEM_FILES. Links are followed.

    A link that leads nowhere is listed as a file. folder_links: allow links to folders below `folder`, which
    itself may be one. UserError for such a link if they are not allowed, for a folder in a loop of links, or
    that cannot be read.
    """
    listed, linked, pending = list[Path](), list[Path](), [(folder, frozenset[Path]())]
    while pending:
        current, parents = pending.pop()
        try:
            real = current.resolve(strict=True)
            with os.scandir(current) as scan:
                entries = [  # a link to itself is an error to DirEntry.is_dir
                    (Path(entry), Path(entry).is_dir() if entry.is_symlink() else entry.is_dir())
                    for entry in scan
                    if not _SYSTEM.match(entry.name)
                ]
        except (OSError, RuntimeError) as error:
            raise unreadable(current, error, "a readable folder") from error
        if real in parents:
            raise unreadable(current, f"a link back to {real}", "a folder tree without loops")
        linked += [entry for entry, is_folder in entries if is_folder and entry.is_symlink()]
        pending += [(entry, parents | {real}) for entry, is_folder in entries if is_folder]
        listed += [entry for entry, is_folder in entries if not is_folder]
    if linked and not folder_links:
        raise folder_link_error(folder, sorted(linked))
    return sorted(listed, key=Path.as_posix)


def folder_link_error(folder: Path, links: Sequence[Path]) -> UserError:
    """Return the UserError for links to folders below `folder`, where DVC must notice every change."""
    more = f" and {len(links) - 1} more such links" if len(links) > 1 else ""
    return UserError(
        links[0],
        f"a link to the folder {links[0].resolve()}{more}: DVC does not follow it, so a change of the files "
        "behind it would not be noticed",
        f"links to files in {folder}; {folder} itself or a folder above it may be a link, too",
        f"make {folder} the link; or replace the link by a copy, on the same disk without the space by hard "
        "links (`cp -alL FOLDER COPY`); or mount the folder there (`mount --bind`)",
    )
