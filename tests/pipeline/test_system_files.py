"""Files that operating systems write into any folder change neither a fingerprint nor what DVC hashes."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.repo import Repo

from intrada.core import file_lists, files, hashing
from tests.support.definition import ROOT

JUNK = (
    ".DS_Store", "images/.DS_Store", "images/Thumbs.db", "images/thumbs.db", "desktop.ini", "Desktop.ini",
    "images/._a.png", "__MACOSX/images/._a.png", "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", ".directory",
    "$RECYCLE.BIN/a", "System Volume Information/x", ".Trash-1000/a.png", ".nfs0001", ".Trashes/1/b.png",
)  # fmt: skip
KEPT = ("images/a.png", "images/.hidden", "Thumbs.db.txt", "my.DS_Store", "images/a._b")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data in a DVC project with this project's .dvcignore."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    write(KEPT)
    return tmp_path / "data"


def write(names: tuple[str, ...]) -> None:
    for name in names:
        path = Path("data", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def seen_by_dvc(folder: Path) -> set[str]:
    with Repo.init(no_scm=True) as repo:
        walked = repo.dvcignore.walk(repo.fs, str(folder))
        return {str(Path(above, name).relative_to(folder)) for above, _, names in walked for name in names}


def test_system_files_change_no_fingerprint_and_dvc_does_not_see_them(tree: Path) -> None:
    before = hashing.fingerprint(tree), hashing.stat_fingerprint(tree)
    write(JUNK)
    assert {path.relative_to(tree).as_posix() for path in files.list_files(tree)} == set(KEPT)
    assert (hashing.fingerprint(tree), hashing.stat_fingerprint(tree)) == before
    assert seen_by_dvc(tree) == set(KEPT)


@pytest.mark.parametrize("folder", [".", "ablation"])
def test_dvcignore_and_the_code_have_the_same_names(folder: str) -> None:
    lines = (ROOT / folder / ".dvcignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns == ["__pycache__/", *file_lists.SYSTEM_FILES]
