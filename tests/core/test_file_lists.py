"""Lists of the files below a folder, and fingerprints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intrada.core import files, hashing
from intrada.core.errors import UserError

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
