"""Where data, results and temporary files lie: other disks by links, read-only disks, other users' files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places.conftest import INFERENCE, TABLES, TRAINING, Place

pytestmark = pytest.mark.slow

MEMORY = Path("/dev/shm")  # noqa: S108
NOBODY = 65534


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk; to run: where /dev/shm is a disk of its own")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.mark.parametrize("folder", ["results", "runs", "data/preprocess", "logs", "data/raw"])
def test_a_folder_on_another_disk_behind_a_link_changes_no_byte(
    place: Place, disk: Path, folder: str
) -> None:
    path = place.folder / folder
    path.mkdir(exist_ok=True)
    shutil.move(path, disk / "moved")
    path.symlink_to(disk / "moved")
    place.run(TRAINING if folder in ("runs", "results") else TABLES)
    place.same_bytes()
    assert path.is_symlink()
    assert folder in ("data/raw", "logs") or any((disk / "moved").iterdir())


def test_temporary_files_on_another_disk_change_no_byte(place: Place, disk: Path) -> None:
    place.run(INFERENCE, env={"TMPDIR": str(disk)})
    place.same_bytes()


def test_a_full_disk_for_temporary_files_changes_no_byte(place: Place) -> None:
    """In a mount namespace of its own."""
    full = "mount -t tmpfs -o size=4k none runs/tmp; head -c 4096 /dev/zero > runs/tmp/full"
    (place.folder / "runs/tmp").mkdir(parents=True)
    if subprocess.run(["unshare", "-m", "sh", "-c", full], capture_output=True).returncode:
        pytest.skip("no mount namespace; to run: as root, in a container with CAP_SYS_ADMIN")
    before = f"""exec unshare -m bash -c '{full}; TMPDIR=$PWD/runs/tmp exec "$@"' bash "$@" """
    place.run(INFERENCE, before=before)
    place.same_bytes()


@pytest.mark.parametrize("seconds", [-(10**9), 2 * 86400])
def test_files_dated_in_the_past_or_in_the_future_change_no_byte(place: Place, seconds: int) -> None:
    for path in place.folder.rglob("*"):
        os.utime(path, (time.time() + seconds,) * 2)
    place.run(TABLES)
    place.same_bytes()


@pytest.fixture
def ordinary() -> str:
    """A command that takes from root the right to pass over permissions, as an ordinary user has none."""
    take = "setpriv --bounding-set=-all --inh-caps=-all"
    if os.getuid() or subprocess.run([*take.split(), "true"], capture_output=True).returncode:
        pytest.skip("changing the rights needs root and setpriv; as another user, all tests run without them")
    return f'exec {take} "$@"'


def test_without_the_rights_of_root_no_byte_changes(place: Place, ordinary: str) -> None:
    place.run(TRAINING, before=ordinary, env={"HOME": None})
    place.same_bytes()


def test_files_of_another_user_are_named_and_left_alone(place: Place, ordinary: str) -> None:
    """As after a run with sudo."""
    before = (place.folder / "results/rank/split.csv").read_bytes()
    for path in [place.folder, *place.folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o755 if path.is_dir() else 0o644)
    place.run(["rank"], before=ordinary, forget=False)
    place.refused("cannot be written (Permission denied)")
    assert (place.folder / "results/rank/split.csv").read_bytes() == before


def test_outputs_that_are_read_only_hard_links_leave_the_other_name_alone(
    place: Place, tmp_path: Path
) -> None:
    """As DVC makes them with the cache types hardlink and symlink: a stage must not write through them."""
    split = place.folder / "results/rank/split.csv"
    scores = place.folder / "results/score/scores.csv"
    for path, link in ((split, os.link), (scores, os.symlink)):
        cached = tmp_path / path.name
        path.rename(cached)
        link(cached, path)
        cached.write_text("of the cache")
        cached.chmod(0o444)
    place.run(["score", "rank"], forget=False)
    place.same_bytes()
    assert [(tmp_path / path.name).read_text() for path in (split, scores)] == ["of the cache"] * 2
