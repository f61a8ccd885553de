"""Records that were edited or damaged, on the tiny project: each names the records of its inputs' runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core import hashing
from intrada.pipeline import records
from tests.support.tiny_project import run

pytestmark = pytest.mark.usefixtures("project", "one_thread")
Verify = Callable[[], tuple[int, str]]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    """Runs verify: (exit code, all that it prints)."""

    def call() -> tuple[int, str]:
        capsys.readouterr()
        code = main(["verify"])
        return code, "".join(capsys.readouterr())

    return call


def path_of(job: str) -> Path:
    """The one record of a job."""
    [path] = (records.FOLDER / "jobs" / job).iterdir()
    return path


def content(job: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path_of(job).read_text())
    return loaded


def forge(job: str, **changes: Any) -> None:
    """Edit a record, and give it the name and checksum of its new content."""
    fields = content(job) | changes
    fields.pop("checksum")
    record_id, complete = records.sealed(fields)
    path = path_of(job)
    path.unlink()
    path.with_name(f"{record_id}.json").write_text(json.dumps(complete))


def test_a_record_names_the_records_of_the_runs_that_wrote_its_inputs() -> None:
    named = content("pseudo_label")["records"]
    writers = {
        "results/rank/split.csv": "rank",
        "data/preprocess/target/index.csv": "preprocess@target",
        "results/score/predictions": "score",
        "results/score/confidence": "score",
    }
    assert named == {path: path_of(job).stem for path, job in writers.items()}
    # the images that an index names, and raw data that a job has drawn
    assert content("score")["records"]["data/preprocess/target/images"] == path_of("preprocess@target").stem
    assert content("check")["records"]["data/raw/toycity/gta5"] == path_of("toycity@source").stem
    assert "weights/random" not in content("train_source")["records"]


def test_a_run_that_is_repeated_has_the_same_record_id() -> None:
    before = path_of("rank").stem
    assert run("rank") == 0
    assert path_of("rank").stem == before


def test_params_edited_in_a_record_are_noticed(verify: Verify) -> None:
    fields = content("train_inter")
    fields["params"]["train_inter"]["optimizer"]["lr"] *= 2
    path_of("train_inter").write_text(json.dumps(fields))
    code, said = verify()
    assert code == 1
    assert (
        f"{path_of('train_inter')}: was edited or damaged" in said and "`dvc repro -f -s train_inter" in said
    )


@pytest.mark.parametrize("key", sorted(records.UNSTABLE))
def test_every_field_of_a_record_is_guarded(verify: Verify, key: str) -> None:
    path_of("rank").write_text(json.dumps(content("rank") | {key: "edited"}))
    assert verify()[0] == 1


def test_a_record_with_a_forged_name_is_missed_by_the_records_after_it(verify: Verify) -> None:
    before = path_of("train_inter").stem
    forge("train_inter", params=content("train_inter")["params"] | {"seed": 2})
    code, said = verify()
    assert code == 1
    assert (
        f"the record {before[:8]} of the run that wrote results/train_inter/last.safetensors is missing"
        in said
    )
    assert "`dvc repro -f -s train_inter score" in said


def test_an_artifact_edited_together_with_its_record_is_noticed(verify: Verify) -> None:
    split = Path("results/rank/split.csv")
    split.write_text(split.read_text().replace("easy", "hard", 1))
    now = {split.as_posix(): hashing.fingerprint(split)}
    forge("rank", outputs=now)
    forge("pseudo_label", inputs=content("pseudo_label")["inputs"] | now)
    code, said = verify()
    assert code == 1 and "of the run that wrote results/rank/split.csv is missing or was edited" in said


def test_the_printed_fingerprint_changes_with_the_last_record_of_all(verify: Verify) -> None:
    _, said = verify()
    noted = said.split()[-1]
    assert len(noted) == 32 and verify()[1].split()[-1] == noted
    outputs = content("analyse")["outputs"]
    edited = next(path for path in map(Path, outputs) if path.is_file())
    edited.write_text(edited.read_text() + "\n")
    forge("analyse", outputs=outputs | {edited.as_posix(): hashing.fingerprint(edited)})
    code, said = verify()
    assert code == 0 and said.split()[-1] != noted  # nothing is made from it here, so only the note tells


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"job": "rank"}', "[" * 100_000, "\udcff"])
def test_a_damaged_record_is_named_with_the_job_to_run_again(verify: Verify, text: str) -> None:
    path = path_of("rank")
    path.write_bytes(text.encode(errors="surrogateescape"))
    code, said = verify()
    assert code == 1 and f"{path}: is no record" in said
    assert "verify --repair" in said and "`dvc repro -f -s rank" in said


def test_a_damaged_list_of_files_is_named(verify: Verify) -> None:
    path = next((records.FOLDER / "folders").iterdir())
    path.write_text(path.read_text().replace("a", "b"))
    code, said = verify()
    assert code == 1 and f"{path}: was edited or damaged" in said and "dvc repro -f" not in said


def test_records_of_an_earlier_version_are_read_and_noted(verify: Verify) -> None:
    for path in [*(records.FOLDER / "jobs").rglob("*.json")]:
        fields = json.loads(path.read_text())
        del fields["checksum"], fields["records"]
        path.unlink()
        path.with_name(f"{'0' * 32}-{path.stem}.json").write_text(json.dumps(fields))
    code, said = verify()
    assert code == 0 and "21 records of an earlier version have no checksum" in said
    path_of("rank").write_text(json.dumps(content("rank") | {"outputs": 3}))
    code, said = verify()
    assert code == 1 and f"{path_of('rank')}: is no record" in said


def test_a_record_that_vanishes_while_they_are_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is repeated writes its record again."""
    gone, read_text = path_of("rank"), Path.read_text

    def read(path: Path, **options: Any) -> str:
        if path == gone:
            raise FileNotFoundError(path)
        return read_text(path, **options)

    monkeypatch.setattr(Path, "read_text", read)
    assert "rank" not in {record.job for record in records.scan()[0]}
