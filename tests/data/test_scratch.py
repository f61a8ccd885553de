"""Copies of a stage's images on the node's disk: made once, checked, shared, removed; and no byte differs."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from intrada.core import hashing
from intrada.core.errors import UserError
from intrada.data import scratch
from tests.support import processes

HASHES = {"a.png": "a", "b.png": "b", "same.png": "a"}  # name -> content


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Path, str]:
    """Three files in the working directory, two of them with the same content, and their hashes."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for name, content in HASHES.items():
        Path(name).write_text(content)
    return {Path(name): hashing.file_hash(Path(name)) for name in HASHES}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk"


def copies(disk: Path) -> list[Path]:
    """The copies on the node's disk."""
    return sorted((disk / f"intrada-{os.getuid()}").glob("copies/*.png"))


def where(path: Path) -> Path:
    """The file from which `path` is read."""
    return scratch.read(lambda chosen: chosen, path)


def test_files_are_read_from_one_copy_for_each_content_which_is_removed_at_the_end(
    images: dict[Path, str], disk: Path
) -> None:
    with scratch.copied(str(disk), images):
        assert sorted(path.read_text() for path in copies(disk)) == ["a", "b"]
        assert where(Path("a.png")) == where(Path("same.png")) in copies(disk)
        assert {str(path): where(path).read_text() for path in images} == HASHES
        assert where(Path("other.png")) == Path("other.png")
        assert (disk / f"intrada-{os.getuid()}").stat().st_mode & 0o077 == 0
    assert not copies(disk) and where(Path("a.png")) == Path("a.png")


def test_without_the_key_nothing_is_copied(images: dict[Path, str], disk: Path) -> None:
    with scratch.copied(None, images):
        assert where(Path("a.png")) == Path("a.png") and not disk.exists()


def script(images: dict[Path, str], disk: Path) -> str:
    """Copy the images in another process, and keep them."""
    return (
        f"from pathlib import Path; from intrada.data import scratch; hashes = { {str(p): h for p, h in images.items()} }\n"
        f"job = scratch.copied({str(disk)!r}, {{Path(p): h for p, h in hashes.items()}}); job.__enter__()"
    )


def test_two_jobs_share_the_copies_and_the_last_one_removes_them(images: dict[Path, str], disk: Path) -> None:
    with processes.ready(script(images, disk)) as other:
        made = {path: path.stat().st_ino for path in copies(disk)}
        assert len(made) == 2
        with scratch.copied(str(disk), images):
            assert {path: path.stat().st_ino for path in copies(disk)} == made
        assert [*made] == copies(disk)  # the other job still reads them
        other.kill()
        other.wait()
        assert [*made] == copies(disk)
        with scratch.copied(str(disk), images):  # what a killed job has left is used, then removed
            assert {path: path.stat().st_ino for path in copies(disk)} == made
        assert not copies(disk)


def test_a_job_waits_for_the_one_that_copies(
    images: dict[Path, str], disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lock = disk / f"intrada-{os.getuid()}/copying.lock"
    holding = (
        "from pathlib import Path; from intrada.core import locks; import threading, os; "
        f"held = locks.acquire(Path({str(lock)!r}), 'it'); threading.Timer(1, held.close).start()"
    )
    with processes.ready(holding) as other, caplog.at_level(logging.INFO, "intrada"):
        with scratch.copied(str(disk), images):
            assert len(copies(disk)) == 2
        assert f"waiting for process {other.pid} " in caplog.text


def test_a_damaged_copy_is_made_anew(images: dict[Path, str], disk: Path) -> None:
    with processes.ready(script(images, disk)):
        for copy, content in zip(copies(disk), ("x", ""), strict=True):
            copy.write_text(content)
        with scratch.copied(str(disk), images):
            assert {str(path): where(path).read_text() for path in images} == HASHES


def test_a_copy_that_is_lost_or_damaged_later_is_read_where_it_was(
    images: dict[Path, str], disk: Path
) -> None:
    def reader(path: Path) -> str:
        if not path.exists() or path.read_text() != "a":
            raise UserError(path, "bad", "good", "none")
        return str(path)

    with scratch.copied(str(disk), images):
        copy = where(Path("a.png"))
        assert scratch.read(reader, Path("a.png")) == str(copy)
        copy.write_text("damaged")
        assert scratch.read(reader, Path("a.png")) == "a.png"
        copy.unlink()
        assert scratch.read(reader, Path("a.png")) == "a.png"
        with pytest.raises(UserError, match=r"^b\.png: bad"):
            scratch.read(reader, Path("b.png"))


def test_a_file_that_changed_or_vanished_after_it_was_hashed_has_no_copy(
    images: dict[Path, str], disk: Path
) -> None:
    more = {**images, Path("c.png"): "hash of an older content"}
    Path("c.png").write_text("new")
    Path("b.png").unlink()
    with scratch.copied(str(disk), more):
        assert [path.read_text() for path in copies(disk)] == ["a"]
        assert [where(Path(name)) for name in ("b.png", "c.png")] == [Path("b.png"), Path("c.png")]


@pytest.mark.parametrize("late", [False, True])
def test_with_a_full_disk_the_files_are_read_where_they_are_and_one_line_says_so(
    images: dict[Path, str], disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    late: bool,
) -> None:  # fmt: skip
    """late: the disk seems to have space, and another program takes it."""
    free = shutil.disk_usage("/")._replace(free=10 if late else 1)  # a and b have two bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    if late:
        monkeypatch.setattr(shutil, "copyfileobj", no_space)
    with scratch.copied(str(disk), images):
        assert where(Path("a.png")) == Path("a.png") and not copies(disk)
    [line] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("compute.scratch: ") and "has no space for the images" in line


def no_space(*arguments: Any) -> None:
    raise OSError(28, "No space left on device")


def test_the_folder_may_name_a_variable_of_the_node(
    images: dict[Path, str], disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_DISK", str(disk))
    with scratch.copied("$NODE_DISK/images", images):
        assert len(copies(disk / "images")) == 2


@pytest.mark.parametrize("path", ["$UNKNOWN_DISK", "/disk/$UNKNOWN_DISK", "data/scratch"])
def test_a_relative_folder_or_an_unknown_variable_is_refused(images: dict[Path, str], path: str) -> None:
    with pytest.raises(UserError, match=r"^compute\.scratch: "), scratch.copied(path, images):
        pass


def test_a_folder_that_another_user_could_have_put_there_is_refused(
    images: dict[Path, str], disk: Path, tmp_path: Path
) -> None:
    disk.mkdir()
    (disk / f"intrada-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(UserError, match="is no folder of this user"), scratch.copied(str(disk), images):
        pass
    assert not [*tmp_path.glob("copies")]
