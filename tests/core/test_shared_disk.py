"""Which mounts pass file locks on to the other hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from intrada.core import shared_disk
from intrada.core.errors import UserError

TABLE = r"""
/dev/sda1 / ext4 rw,relatime 0 0
mds@tcp:/a /lustre lustre rw,flock,lazystatfs 0 0
mds@tcp:/b /lustre/own lustre rw,localflock,lazystatfs 0 0
filer:/3 /home nfs rw,vers=3,nolock 0 0
filer:/4 /home/my\040group nfs4 rw,vers=4.2,local_lock=none 0 0
filer:/5 /five nfs4 rw,vers=4.2,local_lock=all 0 0
filer:/6 /six nfs rw,vers=3,local_lock=flock,nolock 0 0
tmpfs /six tmpfs rw 0 0
tmpfs /nolock tmpfs rw,nolock 0 0
""".lstrip()


@pytest.mark.parametrize(
    "folder, found",
    [
        ("/", ""), ("/somewhere", ""), ("/lustre/project", ""), ("/lustre/own/project", "localflock"),
        ("/lustre/ownership", ""), ("/home/me", "nolock"), ("/home/my group/project", ""), ("/five", "local_lock=all"),
        ("/six/project", ""), ("/nolock", ""),
    ],
)  # fmt: skip
def test_a_disk_whose_locks_hold_on_one_host_only_is_refused(tmp_path: Path, folder: str, found: str) -> None:
    (tmp_path / "mounts").write_text(TABLE)
    if found:
        with pytest.raises(UserError, match=f"mounted with {found}: its locks hold on one host only"):
            shared_disk.refuse_local_locks(Path(folder), tmp_path / "mounts")
    else:
        shared_disk.refuse_local_locks(Path(folder), tmp_path / "mounts")


def test_the_disk_of_this_machine_is_looked_up(tmp_path: Path) -> None:
    shared_disk.refuse_local_locks(tmp_path)
    shared_disk.refuse_local_locks(tmp_path, tmp_path / "no table")
