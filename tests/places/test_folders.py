"""Where raw data and checkout lie: behind a link, on a read-only disk, under any name; the working directory."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intrada.__main__ import main
from tests.places.conftest import INFERENCE, TABLES, Place, made
from tests.support import tiny_project

RAW = Path("data/raw")


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
    place: Place, tmp_path: Path, written: set[str]
) -> None:
    disk = tmp_path / "disk" / "raw"
    shutil.copytree(RAW, disk)
    shutil.rmtree(RAW)
    for path in [disk, *disk.rglob("*")]:  # to root, permissions are no hindrance: hence the rest
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = states(disk)
    RAW.symlink_to(disk)
    written.clear()
    for job in ("check", "preprocess@source", "preprocess@target", "preprocess@val"):
        assert tiny_project.run(job) == 0
    assert states(disk) == before
    assert not [path for path in written if path.startswith(str(disk))]
    assert str(place.folder / "data/preprocess/val/index.csv") in written  # so writing is seen
    assert made(place.folder) == place.expected
    for path in [disk, *disk.rglob("*/")]:
        path.chmod(0o755)  # so that it can be removed


@pytest.mark.slow
@pytest.mark.parametrize("name", ['Über\'s $HOME; (a) * "b" {c} %20 #1', "日本 1/-x", "l" * 200, " a\tb\\c"])
def test_a_checkout_may_have_any_name(place: Place, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.parent.mkdir(exist_ok=True)
    place.folder.rename(folder)
    place.folder = folder
    place.run(INFERENCE if name.startswith("Über") else TABLES)
    place.same_bytes()


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
