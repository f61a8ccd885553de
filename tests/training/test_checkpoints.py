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


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_the_newest_checkpoint_comes_back_as_it_was_saved(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = make(folder)
    for iteration in (100, 200):
        state = {"weights": {"a": torch.arange(iteration)}, "rows": [{"iteration": iteration, "loss": 0.1}]}
        checkpoints.save(iteration, state)
    loaded = make(folder).load()
    assert loaded is not None
    assert (loaded["iteration"], loaded["rows"]) == (200, [{"iteration": 200, "loss": 0.1}])
    assert torch.equal(loaded["weights"]["a"], torch.arange(200))
    assert f"going on from {folder}/checkpoint_00000200.pt" in capsys.readouterr().err


def test_without_a_checkpoint_there_is_no_state_and_no_word(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(folder).load() is None
    assert capsys.readouterr().err == ""
    assert not folder.exists()


@pytest.mark.parametrize("kept, left", [(1, [500]), (2, [400, 500]), (9, [100, 200, 300, 400, 500])])
def test_the_newest_are_kept(folder: Path, kept: int, left: list[int]) -> None:
    checkpoints = make(folder, kept)
    for iteration in (100, 200, 300, 400, 500):
        checkpoints.save(iteration, {})
    assert names(folder) == [f"checkpoint_{iteration:08d}.pt" for iteration in left]


def test_a_torn_newest_is_named_and_passed_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for iteration in (100, 200):
        make(folder).save(iteration, {"weights": torch.zeros(1000)})
    newest = folder / "checkpoint_00000200.pt"
    tear(newest)
    state = make(folder).load()
    assert state is not None and state["iteration"] == 100
    err = capsys.readouterr().err
    assert f"warning: {newest} cannot be read" in err and "going on from" in err


@pytest.mark.parametrize("left", [0, 1, 4, 100, 1000, -1])
def test_a_file_torn_anywhere_is_passed_over(
    folder: Path, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder).save(100, {"weights": torch.zeros(1000)})
    path = folder / "checkpoint_00000100.pt"
    path.write_bytes(path.read_bytes()[:left])
    assert make(folder).load() is None
    assert "of other params" not in capsys.readouterr().err  # its own folder is no other's


@pytest.mark.parametrize("content", [b"\x80\x02garbage.", b"not a checkpoint", b"PK\x03\x04", b"\n"])
def test_a_file_of_something_else_is_passed_over(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "checkpoint_00000100.pt").write_bytes(content)
    assert make(folder).load() is None


def test_a_file_with_a_lost_block_is_passed_over(folder: Path) -> None:
    make(folder).save(100, {"weights": torch.ones(100_000)})
    path = folder / "checkpoint_00000100.pt"
    data = bytearray(path.read_bytes())
    data[200_000:204_096] = bytes(4096)  # torch alone would load it, with a thousand wrong weights
    path.write_bytes(data)
    assert make(folder).load() is None


def test_a_torn_file_never_pushes_out_a_sound_one(folder: Path) -> None:
    for iteration in (100, 200):
        make(folder).save(iteration, {"weights": torch.zeros(1000)})
    tear(folder / "checkpoint_00000200.pt")
    make(folder, kept=1).save(150, {})  # by the clock, before 200 comes again
    state = make(folder).load()
    assert state is not None and state["iteration"] == 150


def test_checkpoints_of_other_fingerprints_are_named_and_left_alone(
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


def test_a_checkpoint_is_due_by_iterations_or_by_the_clock(
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


def test_a_write_that_fails_leaves_the_older_checkpoint(folder: Path) -> None:
    checkpoints = make(folder)
    checkpoints.save(100, {})
    with pytest.raises(Exception, match="pickle|local object"):
        checkpoints.save(200, {"unsavable": lambda: None})
    assert names(folder) == ["checkpoint_00000100.pt"]
