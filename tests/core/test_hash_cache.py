from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from intrada.core import hash_cache, hashing

CACHE = hash_cache.PATH
FILE = Path("images/a.png")
TICK = 0.05  # seconds, longer than the file system's clock takes from one time to the next


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir()
    FILE.write_bytes(b"one")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is a minute ahead, so that files written just now are old ones."""
    clock = time.time_ns
    monkeypatch.setattr(hash_cache.time, "time_ns", lambda: clock() + 60 * 10**9)


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The files whose bytes are read in the block."""
    read: list[Path] = []
    original = hashing.file_hash
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "file_hash", lambda path: read.append(path) or original(path))
        yield read


def cached(path: Path = FILE) -> str:
    with hash_cache.opened() as file_hash:
        return hashing.fingerprint(path, file_hash)


def rewrite(data: bytes) -> None:
    """Other bytes in the same file, with the old modification time."""
    before = FILE.stat()
    time.sleep(TICK)
    FILE.write_bytes(data)
    os.utime(FILE, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (FILE.stat().st_ino, FILE.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_has_not_changed_is_read_once(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("images/b.png").write_bytes(b"two")
    with reads(monkeypatch) as read:
        found = [cached(FILE.parent), cached(FILE.parent), cached()]
    assert sorted(path.name for path in read) == ["a.png", "b.png"]
    assert found == [hashing.fingerprint(FILE.parent)] * 2 + [hashing.fingerprint(FILE)]


def test_other_bytes_with_the_same_size_and_modification_time_are_noticed(later: None) -> None:
    cached()
    rewrite(b"two")
    assert cached() == hashing.fingerprint(FILE)


def test_another_file_under_the_same_name_is_noticed(later: None) -> None:
    cached()
    time.sleep(TICK)
    Path("new").write_bytes(b"two")
    shutil.copystat(FILE, "new")
    Path("new").replace(FILE)
    assert cached() == hashing.fingerprint(FILE)


def write_coarsely(path: Path, data: bytes) -> None:
    """Without a look at the new file, after which Linux (6.13 and later) would give it more exact times."""
    path.parent.mkdir()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, data)
    os.close(descriptor)


def test_folders_that_change_places_are_noticed_though_their_files_have_the_same_times(later: None) -> None:
    for number in range(100):
        first, second = Path(f"first{number}/a"), Path(f"second{number}/a")
        write_coarsely(first, b"one")
        write_coarsely(second, b"two")
        same = first.stat(), second.stat()
        if same[0].st_mtime_ns == same[1].st_mtime_ns and same[0].st_ctime_ns == same[1].st_ctime_ns:
            break
    else:
        pytest.skip("no two files have the same times here; to run: on a disk with coarse times")
    cached(first)
    first.parent.rename("third")
    second.parent.rename(first.parent)
    assert cached(first) == hashing.fingerprint(first)


def test_a_link_that_points_elsewhere_is_noticed(later: None) -> None:
    Path("other").write_bytes(b"two")
    link = Path("link")
    link.symlink_to(FILE)
    cached(link)
    link.unlink()
    link.symlink_to("other")
    assert cached(link) == hashing.fingerprint(Path("other"))


def test_what_was_written_less_than_two_seconds_ago_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with reads(monkeypatch) as read:
        cached(), cached()
    assert len(read) == 2 and not CACHE.exists()
    os.utime(FILE, ns=(0, 0))  # the modification time is old, the change is not
    cached()
    assert not CACHE.exists()


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hashing.file_hash

    def slow(path: Path) -> str:
        found = original(path)
        rewrite(b"two")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(hashing, "file_hash", slow)
        cached()
    assert not CACHE.exists() and cached() == hashing.fingerprint(FILE)


@pytest.mark.parametrize("damage", ["empty", "half", "another byte", "another format", "binary", "folder"])
def test_a_damaged_cache_counts_as_empty_and_is_written_anew(
    later: None, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    expected = cached()
    whole = CACHE.read_bytes()
    if damage == "folder":
        CACHE.unlink()
        CACHE.mkdir()
    else:
        CACHE.write_bytes(
            {
                "empty": b"",
                "half": whole[: len(whole) // 2],
                "another byte": whole.replace(expected.encode(), expected[::-1].encode()),
                "another format": whole.replace(b"hashes 1", b"hashes 0"),
                "binary": bytes(range(256)),
            }[damage]
        )
    with reads(monkeypatch) as read:
        assert cached() == expected
    assert read == [FILE]
    if damage != "folder":  # which is not ours to remove
        assert CACHE.read_bytes() == whole


def test_processes_side_by_side_keep_each_others_entries(
    later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("b").write_bytes(b"two")
    with hash_cache.opened() as file_hash:
        file_hash(FILE)
        cached(Path("b"))
    with reads(monkeypatch) as read:
        cached(), cached(Path("b"))
    assert read == []


def test_what_an_interrupted_run_has_read_is_kept(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), hash_cache.opened() as file_hash:
        file_hash(FILE)
        raise KeyboardInterrupt
    with reads(monkeypatch) as read:
        cached()
    assert read == []


def test_files_that_are_gone_leave_the_cache(later: None) -> None:
    cached()
    FILE.unlink()
    Path("b").write_bytes(b"two")
    cached(Path("b"))
    assert FILE.name not in CACHE.read_text()


def test_a_name_may_hold_any_byte(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Path(os.fsdecode(b"\xff \n\xc3\xa4.png"))
    strange.write_bytes(b"three")
    expected = hashing.fingerprint(strange)
    with reads(monkeypatch) as read:
        assert cached(strange) == cached(strange) == expected
    assert read == [strange]
