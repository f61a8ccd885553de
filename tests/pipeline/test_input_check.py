"""A stage does not start on an input that is damaged, on the tiny project."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intrada.core import hashing
from intrada.core.config import plain_yaml
from intrada.pipeline import input_check, locked_outs, records
from tests.support.tiny_project import run

MODEL = Path("results/train_inter/last.safetensors")
SPLIT, PREDICTIONS = Path("results/rank/split.csv"), Path("results/score/predictions")
RAW = Path("data/raw/toycity/cityscapes")

pytestmark = pytest.mark.usefixtures("project", "one_thread")
Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What stands on stderr since the last call."""
    return lambda: capsys.readouterr().err


def flip(path: Path) -> None:
    """Flip one bit in the middle; size and modification time stay."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def locked(*paths: Path) -> None:
    """Write a dvc.lock that names the outputs as they are."""
    stages = {f"stage{number}": {"outs": [entry(path)]} for number, path in enumerate(paths)}
    Path("dvc.lock").write_text(plain_yaml.dump({"schema": "2.0", "stages": stages}))


def entry(path: Path) -> dict[str, Any]:
    """An output as DVC writes it to dvc.lock."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs import MemoryFileSystem, localfs

    store = HashFileDB(MemoryFileSystem(), "/store", hash_name="md5")
    _, _, built = build(store, str(path.absolute()), localfs, "md5")
    return {"path": path.as_posix(), "hash": "md5", "md5": built.hash_info.value}


def first(folder: Path) -> Path:
    return sorted(path for path in folder.rglob("*.png"))[0]


def test_a_flipped_byte_in_a_model_is_named_before_it_is_used(said: Said) -> None:
    flip(MODEL)
    assert run("score") == 1
    assert f"{MODEL}: other content than train_inter wrote" in (text := said())
    assert "do next: `python -m intrada verify --repair`" in text


def test_an_empty_file_is_named_as_such(said: Said) -> None:
    SPLIT.write_bytes(b"")
    assert run("pseudo_label") == 1
    assert f"{SPLIT}: an empty file (0 bytes), other content than rank wrote" in said()


def test_damaged_files_of_a_folder_are_named(said: Said) -> None:
    damaged = sorted(PREDICTIONS.iterdir())
    flip(damaged[0])
    damaged[1].write_bytes(b"")
    damaged[2].unlink()
    (PREDICTIONS / "extra.png").touch()
    assert run("pseudo_label") == 1
    names = [path.name for path in damaged]
    found = f"{PREDICTIONS}: not as score wrote it: changed {names[0]}, {names[1]}; missing {names[2]}; added extra.png"
    assert f"{found} (0 bytes: {names[1]}, extra.png)" in said()


def test_a_damaged_image_that_an_index_names_is_named(said: Said) -> None:
    image = first(Path("data/preprocess/target/images"))
    flip(image)
    assert run("score") == 1
    assert f"data/preprocess/target/images: not as preprocess@target wrote it: changed {image.name}" in said()


def test_a_file_beside_the_images_that_an_index_names_is_not_read_and_no_fault() -> None:
    Path("data/preprocess/target/images/notes.txt").write_text("mine")
    assert run("score") == 0


def test_damaged_raw_data_that_a_job_has_drawn_are_named(said: Said) -> None:
    image = first(RAW)
    flip(image)
    assert run("preprocess@val") == 1
    assert f"changed {image.relative_to(RAW)}" in said()


def test_raw_data_and_weights_of_the_users_own_are_not_compared(said: Said) -> None:
    shutil.copytree(RAW, "mine")
    flip(first(Path("mine")))
    assert run("preprocess@val", root="mine") == 0
    shutil.copy(MODEL, "mine.safetensors")
    flip(Path("mine.safetensors"))
    assert run("score", model="mine.safetensors") == 0


def test_an_older_output_that_comes_back_is_good() -> None:
    shutil.copy(SPLIT, "older.csv")
    Path("other.csv").write_text(Path("results/score/scores.csv").read_text().replace(",0.", ",0.0"))
    assert run("rank", scores="other.csv") == 0
    assert SPLIT.read_bytes() != Path("older.csv").read_bytes()
    assert run("pseudo_label") == 0
    shutil.copy("older.csv", SPLIT)
    assert run("pseudo_label") == 0


def test_an_absolute_path_names_the_same_output(said: Said) -> None:
    flip(MODEL)
    assert run("score", model=str(MODEL.absolute())) == 1
    assert "other content than train_inter wrote" in said()


def test_a_folder_that_holds_several_outputs_is_compared() -> None:
    paths = [Path("results/evaluate")]
    assert len(input_check.check(paths, input_check.recorded(hashing.file_hash))) > 10
    flip(Path("results/evaluate/inter/metrics.json"))
    with pytest.raises(Exception, match=r"evaluate/inter/metrics.json: other content than evaluate@inter"):
        input_check.check(paths, input_check.recorded(hashing.file_hash))


# --- without a record: results of another checkout


def test_without_records_the_content_is_compared_with_dvc_lock(said: Said) -> None:
    locked(SPLIT, PREDICTIONS)
    shutil.rmtree("logs")
    assert run("pseudo_label") == 0
    assert json.loads(next((records.FOLDER / "jobs/pseudo_label").iterdir()).read_text())["records"] == {}
    flip(SPLIT)
    assert run("pseudo_label") == 1
    assert f"{SPLIT}: other content than dvc.lock names" in said()
    flip(SPLIT)
    flip(first(PREDICTIONS))
    assert run("pseudo_label") == 1
    assert f"{PREDICTIONS}: other content than dvc.lock names" in said()


def test_the_result_of_another_checkout_is_good_where_older_runs_have_records() -> None:
    SPLIT.write_text(SPLIT.read_text().replace("easy", "hard", 1))  # as pulled: no run here wrote it
    assert run("pseudo_label") == 1
    locked(SPLIT)
    assert run("pseudo_label") == 0


def test_without_records_and_dvc_lock_any_content_is_good_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree("logs")
    monkeypatch.setattr(locked_outs, "time", None)
    SPLIT.write_text(SPLIT.read_text().replace("easy", "hard", 1))
    assert run("pseudo_label") == 0


@pytest.mark.parametrize(
    "text", ["", "stages:\n- a\n", "\x00", "<<<<<<< HEAD\n", "stages: {rank: {outs: [{}]}}"]
)
def test_a_dvc_lock_that_cannot_be_read_names_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked_outs, "_PAUSE", 0)
    Path("dvc.lock").write_text(text)
    assert run("pseudo_label") == 0


def test_a_dvc_lock_that_is_being_written_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    SPLIT.write_text(SPLIT.read_text().replace("easy", "hard", 1))
    locked(MODEL, SPLIT)
    whole = Path("dvc.lock").read_text()
    head, _, _ = whole.partition("stage1")
    Path("dvc.lock").write_text(head.rstrip())  # DVC writes it in place: a part, which can be read

    monkeypatch.setattr(locked_outs.time, "sleep", lambda _: Path("dvc.lock").write_text(whole))
    assert run("pseudo_label") == 0


def test_a_job_of_the_ablation_is_compared_with_the_dvc_lock_above_it(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    locked(SPLIT)
    Path("work").mkdir()
    Path("work/link").symlink_to("../results")
    monkeypatch.chdir("work")
    monkeypatch.setenv("DVC_STAGE", "recipe")
    paths = [Path("link/rank/split.csv")]
    assert input_check.check(paths, input_check.recorded(hashing.file_hash)) == {}
    flip(Path("../results/rank/split.csv"))
    with pytest.raises(Exception, match=r"results/rank/split.csv: other content than dvc.lock names"):
        input_check.check(paths, input_check.recorded(hashing.file_hash))
    monkeypatch.delenv("DVC_STAGE")  # by hand: it may be newer than dvc.lock
    assert input_check.check(paths, input_check.recorded(hashing.file_hash)) == {}


# --- an output folder is replaced whole


def test_a_folder_that_no_run_wrote_is_never_replaced(said: Said) -> None:
    photo = Path("pictures/holiday.jpg")
    photo.parent.mkdir()
    photo.write_bytes(b"photo")
    assert run("score", predictions="pictures") == 1
    assert "pictures: a folder with files that no stage of this project wrote" in said()
    assert photo.read_bytes() == b"photo" and not Path("other.csv").exists()
    photo.unlink()
    assert run("score", predictions="pictures") == 0
    assert run("score", predictions="pictures") == 0  # its own output now
    assert not photo.exists() and first(Path("pictures"))


def test_a_folder_of_dvc_lock_or_below_results_is_replaced() -> None:
    Path("mine").mkdir()
    Path("mine/old.png").touch()
    locked(Path("mine"))
    assert run("score", predictions="mine") == 0
    shutil.rmtree(records.FOLDER)
    assert run("score") == 0 and PREDICTIONS.is_dir()
