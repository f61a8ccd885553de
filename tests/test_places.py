"""Where data and checkout may lie: behind a link, on a read-only disk, under any name; and where one may stand."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intrada.__main__ import main
from intrada.core import hashing
from tests.support import tiny_project

RAW = Path("data/raw")
# Every job but the ones that draw the raw data.
JOBS = [name for name in tiny_project.ORDER if not name.startswith("toycity")]
MADE = ("data/preprocess", "results")


def states(folder: Path) -> dict[str, tuple[int, ...]]:
    """Inode, mode, size and time of last change of all that is below `folder`, folders too."""
    found = {path: path.lstat() for path in [folder, *folder.rglob("*")]}
    return {
        path.relative_to(folder).as_posix(): (
            stat.st_ino,
            stat.st_mode,
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
        )
        for path, stat in found.items()
    }


def made(folder: Path) -> dict[str, str]:
    """The fingerprint of every artifact, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashing.fingerprint(path)
        for name in MADE
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` the working directory, a tiny project without raw data."""
    folder.mkdir(parents=True)
    tiny_project.start(folder)
    (folder / "data").mkdir()
    monkeypatch.chdir(folder)


def run_everything() -> None:
    for name in JOBS:
        assert tiny_project.run(name) == 0, name


_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.utime")
_WATCHES: list[set[str]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    """Note the paths that Python opens to write, makes, renames or removes, while somebody watches."""
    for watch in _WATCHES:
        flags = arguments[2] if event == "open" else 0
        if event in _CHANGES or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
            watch |= {
                os.path.realpath(os.fsdecode(path))
                for path in arguments[:2]
                if isinstance(path, str | os.PathLike)
            }


sys.addaudithook(_hook)  # for good: a hook cannot be removed


@pytest.fixture
def written() -> Iterator[set[str]]:
    """The real paths that are written or changed by Python meanwhile."""
    _WATCHES.append(set())
    yield _WATCHES[-1]
    _WATCHES.pop()


@pytest.mark.slow
def test_raw_data_on_a_read_only_disk_behind_a_link_are_read_and_never_written(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: set[str]
) -> None:
    disk, folder = tmp_path / "disk" / "raw", tmp_path / "checkout"
    shutil.copytree(finished / RAW, disk)
    for path in [disk, *disk.rglob("*")]:  # to root, permissions are no hindrance: hence the rest
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = states(disk)
    start(folder, monkeypatch)
    RAW.symlink_to(disk)
    written.clear()
    run_everything()
    assert states(disk) == before
    assert not [path for path in written if path.startswith(str(disk))]
    assert str(folder / "results/rank/split.csv") in written  # so writing is seen
    assert made(folder) == made(finished)
    for path in [disk, *disk.rglob("*/")]:
        path.chmod(0o755)  # so that it can be removed


@pytest.mark.slow
def test_a_checkout_may_have_any_name(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Über's $HOME; (a) *" / "日本 1"
    start(folder, monkeypatch)
    shutil.copytree(finished / RAW, RAW)
    run_everything()
    assert made(folder) == made(finished)


def test_a_model_file_behind_a_link_is_read(project: Path) -> None:
    expected = Path("results/score/scores.csv").read_bytes()
    model = Path("results/train_inter/last.safetensors")
    elsewhere = project.parent / "elsewhere.safetensors"
    model.rename(elsewhere)
    model.symlink_to(elsewhere)
    assert tiny_project.run("score") == 0
    assert Path("results/score/scores.csv").read_bytes() == expected


@pytest.mark.parametrize(
    "command, message",
    [
        (["rank", "--scores", "a.csv", "--out", "b.csv"], "params.yaml: no such file"),
        (["validate", "--params", "params.yaml", "--out", "a.json"], "params.yaml: no such file"),
        (["preset", "toycity"], "presets: no such folder"),
        (["preset", "--list"], "presets: no such folder"),
        (["verify", "results/"], "results: no such folder"),
    ],
)
def test_elsewhere_than_in_the_projects_folder_a_command_says_so_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "do next: " in error and "in the project's folder" in error
    assert not list(tmp_path.iterdir())


def test_with_the_params_of_another_folder_the_missing_input_is_named(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [
        "rank",
        "--params",
        str(finished / "params.yaml"),
        "--scores",
        "results/score/scores.csv",
        "--out",
        "b.csv",
    ]
    assert main(command) == 1
    assert "results/score/scores.csv: no such file or folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
