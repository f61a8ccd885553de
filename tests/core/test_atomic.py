"""Atomic writes, and what a killed process leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE

import pytest

from intrada.core import atomic, files
from intrada.core.errors import UserError
from tests.support.definition import ROOT

# ---------------------------------------------------------------- files that killed processes leave behind


KILLED = """
import os, signal, sys
from pathlib import Path
from intrada.core import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as temporary:
    (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
    if sys.argv[3] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(kind: str, path: Path, then: str) -> subprocess.Popen[str]:
    """Start a process that begins to write `path`, and then is killed or waits for the end of its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, kind, path, then], cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == ("" if then == "killed" else "writing\n")
    return process


# ---------------------------------------------------------------- atomic writes


def test_atomic_file_replaces_the_old_file_and_makes_missing_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    for text in ("one", "two"):
        with files.atomic_file(path) as temporary:
            assert temporary.parent == path.parent and temporary.suffix == ".txt"
            temporary.write_text(text)
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["b.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_text("old")
    with pytest.raises(KeyError), files.atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["b.txt"]


def test_a_file_reaches_the_disk_before_its_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: named.append((tmp_path / "x").exists()))
    with files.atomic_file(tmp_path / "x") as temporary:
        temporary.write_text("x")
    assert named == [False] and (tmp_path / "x").exists()


def test_atomic_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    for name in ("first", "second"):
        with files.atomic_folder(path) as temporary:
            (temporary / name).write_text(name)
        assert os.listdir(path) == [name]
    assert os.listdir(tmp_path) == ["out"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyError), files.atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise KeyError
    assert os.listdir(path) == ["old"] and os.listdir(tmp_path) == ["out"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.txt: cannot be written"), files.atomic_file(tmp_path / "x.txt"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_an_error_that_does_not_come_from_the_disk_is_raised_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.atomic_file(tmp_path / "x"):
        (tmp_path / "not there").read_bytes()


def test_a_resumed_folder_contains_the_files_written_before(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    for name in "ab":
        with pytest.raises(KeyboardInterrupt), files.resumed_folder(path, "key") as work:
            (work / name).touch()
            raise KeyboardInterrupt
    assert [entry.name for entry in path.iterdir()] == ["old"]
    with files.resumed_folder(path, "key") as work:
        assert sorted(entry.name for entry in work.iterdir()) == ["a", "b"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    assert sorted(entry.name for entry in path.iterdir()) == ["a", "b"]


def test_a_resumed_folder_of_another_key_starts_empty_and_the_old_one_is_removed(tmp_path: Path) -> None:
    for key in ("one", "two"):
        with pytest.raises(KeyboardInterrupt), files.resumed_folder(tmp_path / "out", key) as work:
            assert list(work.iterdir()) == []
            (work / "a").touch()
            raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == [".out.two.work"]


def test_a_resumed_folder_is_removed_if_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), files.resumed_folder(tmp_path / "out", "key") as work:
        (work / "a").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["atomic_file", "atomic_folder"])
def test_temporary_files_of_killed_processes_are_removed_and_those_of_live_ones_are_not(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / ".mine.tmp").touch()
    with (
        writer(kind, tmp_path / "dead.x", "killed") as dead,
        writer(kind, tmp_path / "live.x", "waits") as live,
    ):
        dead.wait()
        with files.atomic_file(tmp_path / "own.x") as own:
            own.touch()
            assert len(os.listdir(tmp_path)) == 4
            atomic.sweep([tmp_path, tmp_path / "nowhere"])
            assert len(os.listdir(tmp_path)) == 3
        live.communicate()
    assert sorted(os.listdir(tmp_path)) == [".mine.tmp", "live.x", "own.x"]


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=PIPE)
    assert atomic.alive(process.pid) and atomic.alive(os.getpid())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert not atomic.alive(process.pid)
    os.kill(process.pid, 0)  # its id is still taken
    process.communicate()
    assert not atomic.alive(process.pid)


def test_the_id_of_a_thread_is_not_alive() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(lambda: atomic.alive(threading.get_native_id())).result()


def test_another_users_process_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert atomic.alive(1)


def test_temporary_files_of_another_machine_are_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer("atomic_file", tmp_path / "dead.x", "killed") as dead:
        dead.wait()
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_HOST", "00000000")
        atomic.sweep([tmp_path])
    assert len(os.listdir(tmp_path)) == 1
    atomic.sweep([tmp_path])
    assert not os.listdir(tmp_path)


def test_the_old_folder_is_restored_if_the_replacement_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "out", Path.rename
    path.mkdir()
    (path / "old").touch()

    def full(self: Path, target: Path) -> Path:
        if target == path and (self / "new").exists():
            raise OSError(28, "No space left on device")
        return rename(self, target)

    with pytest.raises(UserError, match="out: cannot be written"), files.atomic_folder(path) as temporary:
        (temporary / "new").touch()
        monkeypatch.setattr(Path, "rename", full)
    assert os.listdir(path) == ["old"] and os.listdir(tmp_path) == ["out"]
