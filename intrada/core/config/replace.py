"""Replace a params file, and keep a backup of the old one."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from intrada.core import files
from intrada.core.errors import UserError


def replace(path: Path, content: bytes, before: bytes | None, backup: bool) -> Path | None:
    """Write `content` to `path` atomically; return the backup, if there is one.

    before: what the file held when the caller read it, None if there was none. backup: keep that beside the
    file, as params.yaml.bak, or params.yaml.bak2 if another backup has this name. UserError, and nothing is
    replaced, if the file has changed since.
    """
    kept = None
    if backup and before is not None and before != content:
        kept = _free(path, before)
        files.write_bytes(kept, before)
    with files.atomic_file(path) as temporary:
        temporary.write_bytes(content)
        if (path.read_bytes() if path.exists() else None) != before:  # an editor has saved it since
            fix = "look at the file, then run the same command again"
            raise UserError(path, "it was edited while the command ran", "a file that stays as it is", fix)
    return kept


def _free(path: Path, content: bytes) -> Path:
    """Return the first name for a backup that no other content has."""
    names = (path.with_name(f"{path.name}.bak{number if number > 1 else ''}") for number in count(1))
    return next(name for name in names if not name.exists() or name.read_bytes() == content)
