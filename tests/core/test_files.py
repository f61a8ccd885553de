from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE

import pandas as pd
import pytest

from intrada.core import atomic, files, hashing
from intrada.core.errors import UserError
from tests.support.definition import ROOT

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


# ---------------------------------------------------------------- tables


def test_a_table_survives_a_round_trip(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["00001", "NA", "nan"],
            "label": ["", "a,b", 'quo"ted'],
            "score": [0.1 + 0.2, 1e-17, 1 / 3],
            "width": [1, 2, 3],
        }
    )
    files.write_csv(tmp_path / "t.csv", frame)
    pd.testing.assert_frame_equal(files.read_csv(tmp_path / "t.csv"), frame, check_exact=True)


def test_ids_that_look_like_numbers_and_labels_that_are_all_missing_are_read_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["00001", "2"], "label": ["", ""]})
    files.write_csv(tmp_path / "t.csv", frame)
    assert files.read_csv(tmp_path / "t.csv").to_numpy().tolist() == [["00001", ""], ["2", ""]]


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "t.csv", pd.DataFrame({"id": [], "width": []}))
    frame = files.read_csv(tmp_path / "t.csv", ["id", "width"])
    assert frame.empty and list(frame.columns) == ["id", "width"]


@pytest.mark.parametrize(
    "content, found",
    [
        (b"", r"an empty file"),
        (b'id,width\n"1,2\n', "EOF inside string"),
        (b"id,width\n1,2\n1,2,3\n", "Expected 2 fields"),
        (b"id,width\n1,2,3\n", "loss of data"),
        (b"\xff\xfe\x00", "codec"),
        (b"id,height\n1,2\n", "no column width"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"t\.csv: .*{found}"):
        files.read_csv(path, ["width"])


def test_nan_is_refused_in_json(tmp_path: Path) -> None:
    files.write_json(tmp_path / "m.json", {"miou": 46.3, "none": None})
    assert json.loads((tmp_path / "m.json").read_text()) == {"miou": 46.3, "none": None}
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "m.json", {"miou": float("nan")})
    assert (tmp_path / "m.json").exists()


# ---------------------------------------------------------------- listings and fingerprints


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "b").mkdir(parents=True)
    (root / "b" / "1").write_text("one")
    (root / "a").write_text("two")
    return root


def test_files_below_a_link_are_listed_too(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2").touch()
    (tree / "link").symlink_to(tmp_path / "elsewhere")
    assert [path.relative_to(tree).as_posix() for path in files.list_files(tree)] == ["a", "b/1", "link/2"]


def test_a_link_loop_is_refused(tree: Path) -> None:
    (tree / "b" / "up").symlink_to(tree)
    with pytest.raises(UserError, match="b/up: a link back to"):
        files.list_files(tree)


def test_two_links_to_one_folder_are_accepted(tree: Path) -> None:
    (tree / "c").symlink_to(tree / "b")
    assert len(files.list_files(tree)) == 3


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for listing in (files.list_files, hashing.fingerprint, hashing.stat_fingerprint):
        with pytest.raises(UserError, match="nowhere: no such file or folder"):
            listing(tmp_path / "nowhere")


def test_all_broken_links_below_a_folder_are_named(tree: Path) -> None:
    for name in "xyz":
        (tree / "b" / name).symlink_to("../gone")
    with pytest.raises(
        UserError, match=r"b/x: a link to \.\./gone, .*; 3 links lead nowhere: .*b/x, .*b/y, .*b/z"
    ):
        hashing.stat_fingerprint(tree)


def test_a_fingerprint_changes_with_every_name_and_byte_and_with_nothing_else(tree: Path) -> None:
    fingerprints = [hashing.fingerprint(tree)]
    os.utime(tree / "a", (0, 0))
    assert hashing.fingerprint(tree) == fingerprints[0] and len(fingerprints[0]) == 32
    for change in (
        lambda: (tree / "a").write_text("Two"),
        lambda: (tree / "a").rename(tree / "c"),
        lambda: (tree / "c").rename(tree / "b" / "c"),
        lambda: (tree / "new").touch(),
    ):
        change()
        fingerprints.append(hashing.fingerprint(tree))
    assert len(set(fingerprints)) == 5


def test_a_files_fingerprint_depends_on_its_content_not_on_its_path(tree: Path) -> None:
    (tree / "copy").write_text("two")
    assert hashing.fingerprint(tree / "a") == hashing.fingerprint(tree / "copy")
    assert hashing.fingerprint(tree / "a") != hashing.fingerprint(tree / "b" / "1")


def test_the_joint_fingerprint_of_a_folders_files_is_that_of_the_folder(tree: Path) -> None:
    paths = files.list_files(tree)
    fingerprints = {path.relative_to(tree).as_posix(): hashing.fingerprint(path) for path in paths}
    assert hashing.joint_fingerprint(fingerprints) == hashing.fingerprint(tree)


def test_without_times_a_stat_fingerprint_changes_with_size_alone(tree: Path) -> None:
    for path in (tree, tree / "a"):
        (tree / "a").write_text("two")
        first = hashing.stat_fingerprint(path, times=False)
        os.utime(tree / "a", (1, 1))
        assert hashing.stat_fingerprint(path, times=False) == first
        (tree / "a").write_text("longer")
        assert hashing.stat_fingerprint(path, times=False) != first


def test_a_stat_fingerprint_changes_with_size_and_time(tree: Path) -> None:
    for path in (tree, tree / "a"):
        os.utime(tree / "a", (0, 0))
        first = hashing.stat_fingerprint(path)
        assert hashing.stat_fingerprint(path) == first
        os.utime(tree / "a", (1, 1))
        assert hashing.stat_fingerprint(path) != first


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
