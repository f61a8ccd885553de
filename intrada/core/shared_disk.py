"""Whether the locks of files on a disk hold between the hosts that share it."""

from __future__ import annotations

import re
from pathlib import Path

from intrada.core.errors import UserError

MOUNTS = Path("/proc/self/mounts")
# Mount options with which flock works, but only between the processes of one host
LOCAL = {"lustre": {"localflock"}, "nfs": {"nolock", "local_lock=flock", "local_lock=all"}}
LOCAL["nfs4"] = LOCAL["nfs"]


def refuse_local_locks(folder: Path, mounts: Path = MOUNTS) -> None:
    """Raise UserError if locks below `folder` hold between the processes of one host only.

    mounts: the table of mounted file systems; a system without it passes.
    """
    if not mounts.exists():
        return
    point, kind, options = _mount_of(folder.resolve(), mounts.read_text(encoding="utf-8", errors="replace"))
    if found := LOCAL.get(kind, set()) & options:
        raise UserError(
            folder,
            f"is on {point}, mounted with {', '.join(sorted(found))}: its locks hold on one host only",
            "locks that hold on all hosts: Lustre mounted with flock, NFS without nolock and local_lock",
            "move the checkout to such a disk, or run on one host: snakemake --executor local --cores all",
        )


def _mount_of(folder: Path, table: str) -> tuple[str, str, set[str]]:
    """Return the mount point, type and options of the file system of `folder`. table: as /proc/mounts."""
    found = ("/", "", set[str]())
    for line in table.splitlines():
        _, point, kind, options, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)  # \040 is a space
        if folder.is_relative_to(point) and len(point) >= len(
            found[0]
        ):  # of two at one point the last one counts
            found = (point, kind, set(options.split(",")))
    return found
