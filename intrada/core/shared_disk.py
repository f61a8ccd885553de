"""Whether the locks of files on a disk hold between the hosts that share it."""

from __future__ import annotations

from pathlib import Path

import psutil

from intrada.core.errors import UserError

# Mount options with which flock works, but only between the processes of one host
LOCAL = {"lustre": {"localflock"}, "nfs": {"nolock", "local_lock=flock", "local_lock=all"}}
LOCAL["nfs4"] = LOCAL["nfs"]


def refuse_local_locks(folder: Path) -> None:
    """Raise UserError if locks below `folder` hold between the processes of one host only."""
    folder, disks = folder.resolve(), psutil.disk_partitions(all=True)
    above = [disk for disk in disks if folder.is_relative_to(disk.mountpoint)]
    # the innermost mount point; of two mounts at one point the last one counts
    disk = max(reversed(above), key=lambda disk: len(disk.mountpoint), default=None)
    if disk and (found := LOCAL.get(disk.fstype, set()) & {*disk.opts.split(",")}):
        raise UserError(
            folder,
            f"is on {disk.mountpoint}, mounted with {', '.join(sorted(found))}:"
            " its locks hold on one host only",
            "locks that hold on all hosts: Lustre mounted with flock, NFS without nolock and local_lock",
            "move the checkout to such a disk, or run on one host: snakemake --executor local --cores all",
        )
