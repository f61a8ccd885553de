"""Stages on a full or read-only disk: a tmpfs of a few kilobytes, where root may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import tiny_project
from tests.support.tiny_project import change, tree, write_params

pytestmark = pytest.mark.slow

Mount = Callable[[str, int], Path]
FILLER = "filler"


@pytest.fixture
def mount(project: Path) -> Iterator[Mount]:
    """A function that mounts an empty disk of `size` kilobytes over a folder of the finished project."""
    with ExitStack() as stack:

        def mounted(folder: str, size: int) -> Path:
            path = Path(folder).absolute()
            path.mkdir(parents=True, exist_ok=True)
            options = ["-t", "tmpfs", "-o", f"size={size}k", "none", str(path)]
            done = subprocess.run(["mount", *options], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(
                    f"mount failed ({done.stderr.strip()}); to run: as root, in a container with CAP_SYS_ADMIN"
                )
            stack.callback(subprocess.run, ["umount", str(path)], check=True)
            return Path(folder)

        yield mounted


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder.absolute())], check=True)


def fill(disk: Path, pages: int = 0) -> None:
    """Fill the disk, except for `pages` pages of 4 kB."""
    with (disk / FILLER).open("wb", buffering=0) as handle, pytest.raises(OSError):
        while True:
            handle.write(bytes(4096))
    os.truncate(disk / FILLER, (disk / FILLER).stat().st_size - 4096 * pages)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, hidden or not, except the filler and the lock on a run's folder."""
    others = (FILLER, "run.lock")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in others]
    return {path.as_posix(): path.read_bytes() for path in paths}


def refused(capsys: pytest.CaptureFixture[str], where: str, why: str, job: str) -> None:
    """Check that the job fails with one message, which names the file and what to do."""
    capsys.readouterr()
    assert tiny_project.run(job) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 or "holds checkpoints of other params" in lines[0]
    assert lines[-3].startswith(f"error: {where}") and f": cannot be written ({why})" in lines[-3]
    assert lines[-1].startswith("  do next: free space or fix the folder's permissions, then run")


@pytest.mark.parametrize(
    "job, folder, file",
    [
        ("rank", "results/rank", "split.csv"),
        ("score", "results/score", "predictions/"),
        ("pseudo_label", "results/pseudo_label", "labels"),
        ("evaluate@inter", "results/evaluate/inter", ""),
        ("evaluate_snapshots@inter", "results/evaluate_snapshots/inter", ""),
        ("preprocess@source", "data/preprocess/source", "images/"),
    ],
)
def test_a_stage_on_a_full_disk_says_so_and_leaves_the_old_outputs_alone(
    mount: Mount, capsys: pytest.CaptureFixture[str], job: str, folder: str, file: str
) -> None:
    disk = mount(folder, 2048)
    assert tiny_project.run(job) == 0
    before = contents(disk)
    assert before
    fill(disk)
    refused(capsys, f"{folder}/{file}", "No space left on device", job)
    assert contents(disk) == before
    (disk / FILLER).unlink()
    assert tiny_project.run(job) == 0
    assert contents(disk) == before


def test_a_stage_on_a_read_only_disk_says_so_and_leaves_the_old_outputs_alone(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = mount("results/rank", 64)
    assert tiny_project.run("rank") == 0
    before = contents(disk)
    remount(disk, "ro")
    refused(capsys, "results/rank/split.csv", "Read-only file system", "rank")
    assert contents(disk) == before


@pytest.mark.skipif(os.getuid() == 0, reason="root ignores permissions; to run: as another user")
def test_a_folder_without_permission_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(Path("results/rank"))
    Path("results/rank").chmod(0o555)
    try:
        refused(capsys, "results/rank/split.csv", "Permission denied", "rank")
    finally:
        Path("results/rank").chmod(0o755)
    assert contents(Path("results/rank")) == before


def test_a_record_that_cannot_be_written_fails_the_stage(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(mount("logs", 16))
    refused(capsys, "logs/provenance/jobs/rank/", "No space left on device", "rank")


def long_training() -> None:
    """Six iterations of train_inter with a checkpoint every two, all of them kept."""
    changes = {"iterations": 6, "max_iters": 6, "checkpoint_every": 2}
    changes |= {"checkpoints_kept": 9, "snapshot_every": 9}
    write_params(change(tree(), **{f"train_inter__{key}": value for key, value in changes.items()}))


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_and_the_run_goes_on_from_it(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    long_training()
    assert tiny_project.run("train_inter") == 0
    expected = contents(Path("results/train_inter"))
    size = max(path.stat().st_size for path in Path("runs").rglob("checkpoint_*.pt")) // 1024
    disk = mount("runs", size * 3 // 2)
    refused(capsys, "runs/train_inter/", "No space left on device", "train_inter")
    assert [Path(name).name for name in contents(disk) if "tfevents" not in name] == [
        "checkpoint_00000002.pt"
    ]
    assert contents(Path("results/train_inter")) == expected
    remount(disk, f"size={size * 5}k")
    assert tiny_project.run("train_inter") == 0
    assert "resuming from runs/train_inter/" in capsys.readouterr().err
    assert contents(Path("results/train_inter")) == expected


def test_curves_that_cannot_be_written_stop_the_training_with_one_message(
    mount: Mount, capsys: pytest.CaptureFixture[str]
) -> None:
    long_training()
    fill(mount("runs", 64), pages=1)  # for the lock on the run's folder
    refused(capsys, "runs/train_inter/", "No space left on device", "train_inter")
