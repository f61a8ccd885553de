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
TICK = 0.05  # seconds, more than the resolution of the file system's clock


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir()
    FILE.write_bytes(b"one")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock one minute ahead, so that files written just now count as old."""
    clock = time.time_ns
    monkeypatch.setattr(hash_cache.time, "time_ns", lambda: clock() + 60 * 10**9)


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Yield a list that receives the files whose bytes are read in the block."""
    read: list[Path] = []
    original = hashing.file_hash
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "file_hash", lambda path: read.append(path) or original(path))
        yield read


def cached(path: Path = FILE) -> str:
    with hash_cache.opened() as file_hash:
        return hashing.fingerprint(path, file_hash)


def rewrite(data: bytes) -> None:
    """Write other bytes to the same file and restore the modification time."""
    before = FILE.stat()
    time.sleep(TICK)
    FILE.write_bytes(data)
    os.utime(FILE, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (FILE.stat().st_ino, FILE.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_has_not_changed_is_read_once(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("images/b.png").write_bytes(b"two")
    with reads(monkeypatch) as read:
        hashes = [cached(FILE.parent), cached(FILE.parent), cached()]
    assert sorted(path.name for path in read) == ["a.png", "b.png"]
    assert hashes == [hashing.fingerprint(FILE.parent)] * 2 + [hashing.fingerprint(FILE)]


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
    """Write without a stat of the new file, after which Linux (6.13 and later) gives it finer time stamps."""
    path.parent.mkdir()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, data)
    os.close(descriptor)


def test_swapped_folders_are_noticed_though_their_files_have_the_same_times(later: None) -> None:
    for number in range(100):
        first, second = Path(f"first{number}/a"), Path(f"second{number}/a")
        write_coarsely(first, b"one")
        write_coarsely(second, b"two")
        pair = first.stat(), second.stat()
        if pair[0].st_mtime_ns == pair[1].st_mtime_ns and pair[0].st_ctime_ns == pair[1].st_ctime_ns:
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


def test_a_file_written_less_than_two_seconds_ago_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    with reads(monkeypatch) as read:
        cached(), cached()
    assert len(read) == 2 and not CACHE.exists()
    os.utime(FILE, ns=(0, 0))  # the mtime is old, the ctime is not
    cached()
    assert not CACHE.exists()


def test_a_file_that_changes_while_it_is_read_is_not_cached(
    later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hashing.file_hash

    def slow(path: Path) -> str:
        value = original(path)
        rewrite(b"two")
        return value

    with monkeypatch.context() as patch:
        patch.setattr(hashing, "file_hash", slow)
        cached()
    assert not CACHE.exists() and cached() == hashing.fingerprint(FILE)


@pytest.mark.parametrize("damage", ["empty", "half", "another byte", "another format", "binary", "folder"])
def test_a_corrupt_cache_counts_as_empty_and_is_rewritten(
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


def test_two_processes_keep_each_others_entries(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("b").write_bytes(b"two")
    with hash_cache.opened() as file_hash:
        file_hash(FILE)
        cached(Path("b"))
    with reads(monkeypatch) as read:
        cached(), cached(Path("b"))
    assert read == []


def test_the_hashes_of_an_interrupted_run_are_kept(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), hash_cache.opened() as file_hash:
        file_hash(FILE)
        raise KeyboardInterrupt
    with reads(monkeypatch) as read:
        cached()
    assert read == []


def test_deleted_files_are_removed_from_the_cache(later: None) -> None:
    cached()
    FILE.unlink()
    Path("b").write_bytes(b"two")
    cached(Path("b"))
    assert FILE.name not in CACHE.read_text()


def test_a_file_name_may_contain_any_byte(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Path(os.fsdecode(b"\xff \n\xc3\xa4.png"))
    strange.write_bytes(b"three")
    expected = hashing.fingerprint(strange)
    with reads(monkeypatch) as read:
        assert cached(strange) == cached(strange) == expected
    assert read == [strange]
