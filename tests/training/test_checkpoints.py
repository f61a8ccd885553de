from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from intrada.training.checkpoints import Checkpoints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "train_inter" / "0123"


def make(folder: Path, kept: int = 2) -> Checkpoints:
    return Checkpoints(folder, iterations=100, minutes=10, kept=kept)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_load_returns_the_newest_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = make(folder)
    for iteration in (100, 200):
        state = {"weights": {"a": torch.arange(iteration)}, "rows": [{"iteration": iteration, "loss": 0.1}]}
        checkpoints.save(iteration, state)
    loaded = make(folder).load()
    assert loaded is not None
    assert (loaded["iteration"], loaded["rows"]) == (200, [{"iteration": 200, "loss": 0.1}])
    assert torch.equal(loaded["weights"]["a"], torch.arange(200))
    assert f"resuming from {folder}/checkpoint_00000200.pt" in capsys.readouterr().err


def test_without_a_checkpoint_load_returns_none_and_prints_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(folder).load() is None
    assert capsys.readouterr().err == ""
    assert not folder.exists()


@pytest.mark.parametrize("kept, remaining", [(1, [500]), (2, [400, 500]), (9, [100, 200, 300, 400, 500])])
def test_the_newest_checkpoints_are_kept(folder: Path, kept: int, remaining: list[int]) -> None:
    checkpoints = make(folder, kept)
    for iteration in (100, 200, 300, 400, 500):
        checkpoints.save(iteration, {})
    assert names(folder) == [f"checkpoint_{iteration:08d}.pt" for iteration in remaining]


def test_a_truncated_newest_file_is_skipped_with_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for iteration in (100, 200):
        make(folder).save(iteration, {"weights": torch.zeros(1000)})
    newest = folder / "checkpoint_00000200.pt"
    truncate(newest)
    state = make(folder).load()
    assert state is not None and state["iteration"] == 100
    err = capsys.readouterr().err
    assert f"warning: {newest} cannot be read" in err and "resuming from" in err


@pytest.mark.parametrize("length", [0, 1, 4, 100, 1000, -1])
def test_a_file_truncated_at_any_byte_is_skipped(
    folder: Path, length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder).save(100, {"weights": torch.zeros(1000)})
    path = folder / "checkpoint_00000100.pt"
    path.write_bytes(path.read_bytes()[:length])
    assert make(folder).load() is None
    assert "of other params" not in capsys.readouterr().err  # its own folder is not reported


@pytest.mark.parametrize("content", [b"\x80\x02garbage.", b"not a checkpoint", b"PK\x03\x04", b"\n"])
def test_a_file_that_is_no_checkpoint_is_skipped(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "checkpoint_00000100.pt").write_bytes(content)
    assert make(folder).load() is None


def test_a_file_with_a_zeroed_block_is_skipped(folder: Path) -> None:
    make(folder).save(100, {"weights": torch.ones(100_000)})
    path = folder / "checkpoint_00000100.pt"
    data = bytearray(path.read_bytes())
    data[200_000:204_096] = bytes(4096)  # torch.load would accept it, with a thousand wrong weights
    path.write_bytes(data)
    assert make(folder).load() is None


def test_a_corrupt_file_does_not_count_towards_the_kept_checkpoints(folder: Path) -> None:
    for iteration in (100, 200):
        make(folder).save(iteration, {"weights": torch.zeros(1000)})
    truncate(folder / "checkpoint_00000200.pt")
    make(folder, kept=1).save(150, {})  # saved by time, before iteration 200 is reached again
    state = make(folder).load()
    assert state is not None and state["iteration"] == 150


def test_checkpoints_of_other_fingerprints_are_reported_and_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = folder.parent / "4567"
    make(other).save(100, {})
    assert make(folder).load() is None
    assert f"{other} holds checkpoints of other params, inputs or code" in capsys.readouterr().err
    make(folder, kept=1).save(200, {})
    assert names(other) == ["checkpoint_00000100.pt"]
    assert make(folder).load() is not None
    assert str(other) not in capsys.readouterr().err


def test_a_checkpoint_is_saved_by_iterations_or_by_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints = make(folder)
    assert [iteration for iteration in range(1, 301) if checkpoints.should_save(iteration)] == [100, 200, 300]
    now += 599
    assert not checkpoints.should_save(7)
    now += 2
    assert checkpoints.should_save(7)
    checkpoints.save(7, {})
    assert not checkpoints.should_save(8)


def test_a_failed_write_keeps_the_older_checkpoint(folder: Path) -> None:
    checkpoints = make(folder)
    checkpoints.save(100, {})
    with pytest.raises(Exception, match="pickle|local object"):
        checkpoints.save(200, {"unsavable": lambda: None})
    assert names(folder) == ["checkpoint_00000100.pt"]
