"""Images and labels that did not change since they were checked are not decoded again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from intrada.core import files, hash_cache
from intrada.core.errors import UserError
from intrada.data.datasets import check_cache
from intrada.data.datasets.validation import Report, Work, examine
from tests.support.trees import ids, image, opened

FILE = Path("images/2.png")


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three images, in the working directory, that count as older than two seconds."""
    monkeypatch.chdir(tmp_path)
    for name in "123":
        image(Path(f"images/{name}.png"))
        ids(Path(f"labels/{name}.png"), [[7, 7, 23, 26]] * 2)
    clock = time.time_ns
    monkeypatch.setattr(check_cache.time, "time_ns", lambda: clock() + 60 * 10**9)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded."""
    seen: list[Path] = []
    for name in ("read_image", "read_label"):
        read = getattr(files, name)
        monkeypatch.setattr(files, name, lambda path, read=read: seen.append(path) or read(path))
    return seen


def check(labels: str = "coding") -> tuple[Report | None, list[UserError]]:
    absent = opened("gta5", Path()).classes.names
    with check_cache.opened() as lookup:
        return examine(opened("gta5", Path()), True, absent, Work(2, None, lookup, labels))


def test_a_second_check_decodes_nothing_and_reports_the_same(decoded: list[Path]) -> None:
    first = check()
    assert len(decoded) == 6
    decoded.clear()
    assert check() == first and first[0] and not decoded


def test_a_changed_file_is_decoded_again(decoded: list[Path]) -> None:
    check()
    decoded.clear()
    before = FILE.stat()
    time.sleep(0.05)
    FILE.write_bytes(FILE.read_bytes()[:-20])  # and the old time
    os.utime(FILE, ns=(before.st_atime_ns, before.st_mtime_ns))
    _, faults = check()
    assert decoded == [FILE] and [fault.where for fault in faults] == [str(FILE)]
    assert check()[1]  # an error is not cached


def test_another_coding_decodes_the_labels_again_and_not_the_images(decoded: list[Path]) -> None:
    check()
    decoded.clear()
    check("another")
    assert {path.parent.name for path in decoded} == {"labels"} and len(decoded) == 3


@pytest.mark.parametrize("change", ["code", "damage", "nothing", "a folder"])
def test_a_cache_of_other_code_or_a_damaged_one_is_not_used(
    decoded: list[Path], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    first = check()
    decoded.clear()
    if change == "code":
        monkeypatch.setattr(check_cache.PIL, "__version__", "0.0")
    elif change == "damage":
        content = check_cache.PATH.read_bytes().replace(b"[4,2]", b"[8,4]")
        check_cache.PATH.write_bytes(content)
    elif change == "nothing":
        check_cache.PATH.write_bytes(b"")
    else:
        check_cache.PATH.unlink()
        check_cache.PATH.mkdir()
    assert check() == first and len(decoded) == 6


def test_a_file_that_has_just_been_written_is_not_cached(
    decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert hash_cache.MIN_AGE_NS == 2_000_000_000
    with check_cache.opened(Path("cache")) as lookup:
        assert lookup("image", FILE, lambda: 1) == 1
    assert not Path("cache").exists()


def test_the_number_of_entries_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_cache, "LIMIT", 2)
    check()
    with check_cache.opened() as lookup:
        values = [lookup("coding", Path(f"labels/{name}.png"), lambda: "new") for name in "123"]
    assert values.count("new") >= 1 and check_cache.PATH.stat().st_size < 1000
