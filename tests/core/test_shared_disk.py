"""Which mounts pass file locks on to the other hosts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from intrada.core import shared_disk
from intrada.core.errors import UserError

MOUNTS = [
    ("/dev/sda1", "/", "ext4", "rw,relatime"),
    ("mds@tcp:/a", "/lustre", "lustre", "rw,flock,lazystatfs"),
    ("mds@tcp:/b", "/lustre/own", "lustre", "rw,localflock,lazystatfs"),
    ("filer:/3", "/home", "nfs", "rw,vers=3,nolock"),
    ("filer:/4", "/home/my group", "nfs4", "rw,vers=4.2,local_lock=none"),
    ("filer:/5", "/five", "nfs4", "rw,vers=4.2,local_lock=all"),
    ("filer:/6", "/six", "nfs", "rw,vers=3,local_lock=flock,nolock"),
    ("tmpfs", "/six", "tmpfs", "rw"),
    ("tmpfs", "/nolock", "tmpfs", "rw,nolock"),
]


@pytest.mark.parametrize(
    "folder, found",
    [
        ("/", ""), ("/somewhere", ""), ("/lustre/project", ""), ("/lustre/own/project", "localflock"),
        ("/lustre/ownership", ""), ("/home/me", "nolock"), ("/home/my group/project", ""), ("/five", "local_lock=all"),
        ("/six/project", ""), ("/nolock", ""),
    ],
)  # fmt: skip
def test_a_disk_whose_locks_hold_on_one_host_only_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: str, found: str
) -> None:
    disks = [SimpleNamespace(device=d, mountpoint=m, fstype=t, opts=o) for d, m, t, o in MOUNTS]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: disks)
    message = ""
    try:
        shared_disk.refuse_local_locks(Path(folder))
    except UserError as error:
        message = str(error)
    assert (f"mounted with {found}: its locks hold on one host only" in message) == bool(found)
    assert bool(message) == bool(found)


def test_a_machine_without_a_table_of_mounts_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: asked.append(all) or [])
    shared_disk.refuse_local_locks(tmp_path)
    assert asked == [True]
