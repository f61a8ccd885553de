"""verify, on the tiny project after every stage but the report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core import hashing
from intrada.pipeline import records, verification
from tests.support.definition import jobs
from tests.support.tiny_project import ORDER, change, run, tree, write_params

SPLIT, SCORES = Path("results/rank/split.csv"), Path("results/score/scores.csv")
PREDICTIONS = Path("results/score/predictions")


pytestmark = pytest.mark.usefixtures("project", "one_thread")


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs verify: (exit code, what each job's line says, notes, what stands on stderr)."""

    def call(*folder: str) -> tuple[int, dict[str, str], list[str], str]:
        capsys.readouterr()
        code = main(["verify", *folder])
        out, err = capsys.readouterr()
        lines = [line.split(maxsplit=1) for line in out.splitlines()]
        said = {rest.split(":")[0].split(",")[0].split(" ")[0]: f"{word} {rest}" for word, rest in lines}
        verdicts = {job: text for job, text in said.items() if text.startswith(("ok", "wrong"))}
        return code, verdicts, [rest for word, rest in lines if word == "note"], err

    return call


def wrong(verdicts: dict[str, str]) -> list[str]:
    return [job for job, text in verdicts.items() if text.startswith("wrong")]


def rerun(names: Sequence[str], **changes: Any) -> None:
    write_params(change(tree(), **changes))
    for name in names:
        assert run(name) == 0


def kept(*paths: str | Path) -> None:
    """Put copies of these outputs aside."""
    for path in map(Path, paths):
        aside = "aside" / path
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, aside) if path.is_dir() else shutil.copy(path, aside)


def put_back(*paths: str | Path) -> None:
    """Bring back the copies, as DVC does from its cache: without running anything."""
    for path in map(Path, paths):
        if path.is_dir():
            shutil.rmtree(path)
            shutil.copytree("aside" / path, path)
        else:
            shutil.copy("aside" / path, path)


def test_a_finished_project_belongs_together(verify: Any) -> None:
    code, verdicts, notes, err = verify("results/")
    assert (code, err, notes) == (0, "", [])
    assert set(verdicts) == set(ORDER) and not wrong(verdicts)


def test_each_line_says_what_the_artifact_was_made_from(verify: Any) -> None:
    _, verdicts, _, _ = verify()
    assert verdicts["rank"].endswith("<- score")
    assert verdicts["score"].endswith("<- preprocess@target, train_inter")
    assert verdicts["evaluate@intra"].endswith("<- train_intra, evaluate@inter")
    assert verdicts["preprocess@val"].endswith("<- toycity@target")
    assert "<-" not in verdicts["toycity@source"]


def test_an_edited_table_is_named(verify: Any) -> None:
    text = SPLIT.read_text()
    SPLIT.write_text(text.replace("easy", "hard", 1))
    code, verdicts, _, err = verify()
    assert code == 1
    assert wrong(verdicts) == ["rank", "pseudo_label"]
    assert "results/rank/split.csv: other content than rank wrote" in verdicts["rank"]
    assert "was made from results/rank/split.csv" in verdicts["pseudo_label"]
    assert f"2 of {len(ORDER)} jobs are inconsistent: rank, pseudo_label" in err and "verify --repair" in err
    SPLIT.write_text(text)
    assert verify()[0] == 0


def test_scores_of_another_model_are_named_with_both_models(verify: Any) -> None:
    rerun(["train_inter"], seed=7)
    code, verdicts, _, _ = verify()
    assert code == 1
    assert wrong(verdicts) == ["score", "train_intra", "evaluate_snapshots@inter", "evaluate@inter"]
    first, second = verdicts["score"].split("but the file there is")
    assert "made from results/train_inter/last.safetensors" in first
    assert "(train_inter, " in first and first.rstrip(", ").endswith("seed 1)")
    assert "(train_inter, " in second and second.endswith("seed 7)")


def test_scores_of_another_model_put_in_place_are_found(verify: Any) -> None:
    outs = jobs(tree())["score"].outs
    model = jobs(tree())["train_inter"].outs
    rerun(["train_inter", "score"], seed=7)
    kept(*outs)
    rerun(["train_inter", "score"])
    assert verify()[0] == 0
    put_back(SCORES)  # one of the three: no run has left them like this
    code, verdicts, _, _ = verify()
    assert code == 1 and wrong(verdicts) == ["score", "rank", "analyse"]
    assert "results/score/scores.csv was exchanged: the file there is of another run" in verdicts["score"]
    put_back(*outs)  # all three: a run has, but with another model
    code, verdicts, _, _ = verify()
    assert code == 1 and {"score", "rank", "pseudo_label", "analyse"} == set(wrong(verdicts))
    assert f"made from {model[0]}" in verdicts["score"]


def test_two_images_with_swapped_names_are_named(verify: Any) -> None:
    one, other, *_ = sorted(PREDICTIONS.iterdir())
    assert one.read_bytes() != other.read_bytes()
    one.rename("third")
    other.rename(one)
    Path("third").rename(other)
    code, verdicts, _, _ = verify()
    assert code == 1
    assert wrong(verdicts) == ["score", "pseudo_label"]
    assert f"{PREDICTIONS}: not as score wrote it: changed {one.name}, {other.name}" in verdicts["score"]


def test_two_models_with_swapped_names_are_named(verify: Any) -> None:
    one, other = (Path(f"results/train_{name}/last.safetensors") for name in ("source", "inter"))
    one.rename("third")
    other.rename(one)
    Path("third").rename(other)
    code, verdicts, _, _ = verify()
    assert code == 1
    # or of evaluate_snapshots, which copies the models that it chooses
    found = f"{one} was exchanged: the file there is results/train_inter/"
    assert found in verdicts["train_source"]
    found = f"{other} was exchanged: the file there is results/train_source/"
    assert found in verdicts["train_inter"]


def test_missing_and_added_files_of_a_folder_are_named(verify: Any) -> None:
    gone, *_ = sorted(PREDICTIONS.iterdir())
    gone.unlink()
    (PREDICTIONS / "extra.png").touch()
    code, verdicts, _, _ = verify()
    assert code == 1 and f"missing {gone.name}; added extra.png" in verdicts["score"]


def test_an_output_removed_is_named_where_another_was_made_from_it(verify: Any) -> None:
    SCORES.unlink()
    code, verdicts, _, _ = verify()
    assert code == 1 and wrong(verdicts) == ["score", "rank", "analyse"]
    assert "results/score/scores.csv is missing" in verdicts["score"]
    assert "results/score/scores.csv, which it was made from, is missing" in verdicts["rank"]


def test_a_job_without_any_output_is_no_fault_if_nothing_was_made_from_it(verify: Any) -> None:
    shutil.rmtree("results/analyse")
    code, verdicts, notes, _ = verify()
    assert code == 0 and "analyse" not in verdicts
    assert notes == ["analyse: its outputs do not exist"]


def test_an_image_that_a_training_read_is_named_where_it_was_edited(verify: Any) -> None:
    image = sorted(Path("data/preprocess/target/images").iterdir())[0]
    image.write_bytes(image.read_bytes() + b" ")
    code, verdicts, _, _ = verify()
    assert code == 1
    assert f"changed {image.name}" in verdicts["preprocess@target"]
    for job in ("train_inter", "score"):
        assert "other images or labels than those that data/preprocess/target/index.csv" in verdicts[job]


def test_older_outputs_that_come_back_belong_together_again(verify: Any) -> None:
    last = ("rank", "pseudo_label", "train_intra", "evaluate_snapshots@intra", "evaluate@intra", "analyse")
    after = [name for name in ORDER if name in last]
    outs = [out for name in after for out in jobs(tree())[name].outs]
    kept(*outs)
    rerun(after, rank__easy_fraction=0.4)
    assert verify()[0] == 0
    put_back(*outs)
    assert verify()[0] == 0
    put_back(SPLIT)
    rerun(["rank"], rank__easy_fraction=0.4)
    assert wrong(verify()[1]) == ["pseudo_label"]


def test_the_same_bytes_from_another_run_fit_too(verify: Any) -> None:
    before = hashing.fingerprint(SPLIT)
    Path("mine.csv").write_text(SCORES.read_text() + "\n")  # other scores, the same split
    assert run("rank", scores="mine.csv") == 0 and hashing.fingerprint(SPLIT) == before
    assert len(list(Path(records.FOLDER, "jobs/rank").iterdir())) == 2
    assert verify()[0] == 0


def test_a_file_without_a_record_is_noted(verify: Any) -> None:
    Path("results/mine.csv").write_text("a\n")
    Path("results/validate").mkdir()
    Path("results/validate/params.json").write_text("{}")
    code, _, notes, _ = verify()
    assert code == 0
    assert notes == ["results/mine.csv: no record in this checkout: written on another machine or by hand"]


def test_artifacts_of_another_machine_are_not_called_sound(verify: Any) -> None:
    shutil.rmtree("logs")
    code, verdicts, notes, err = verify()
    assert (code, verdicts) == (1, {})
    assert "no record in this" in notes[0] and "logs/provenance has no record of these artifacts" in err


def test_one_job_with_a_record_is_verified_among_others_without(verify: Any) -> None:
    shutil.rmtree("logs")
    assert run("rank") == 0
    code, verdicts, notes, _ = verify()
    assert code == 0 and list(verdicts) == ["rank"]
    assert len(notes) == 1 and "no record in this" in notes[0]


def test_a_folder_may_be_named_and_brings_what_its_artifacts_were_made_from(verify: Any) -> None:
    code, verdicts, _, _ = verify(str(Path("results/rank").resolve()))
    assert code == 0
    assert list(verdicts)[-3:] == ["train_inter", "score", "rank"]
    assert set(ORDER) - set(verdicts) == {
        "check", "preprocess@val", "join@target_labelled", "pseudo_label", "train_intra",
        "evaluate@inter", "evaluate@source", "evaluate@intra", "evaluate_snapshots@source",
        "evaluate_snapshots@inter", "evaluate_snapshots@intra", "analyse",
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["nowhere", "params.yaml"])
def test_a_folder_that_is_none_is_refused(verify: Any, folder: str) -> None:
    code, _, _, err = verify(folder)
    assert code == 1 and f"{folder}: no such folder" in err


def test_raw_data_copied_anew_are_noted_and_others_are_a_fault(verify: Any) -> None:
    image = sorted(Path("data/raw/toycity/gta5").rglob("*.png"))[0]
    image.touch()
    code, _, notes, _ = verify()
    assert code == 0
    assert notes == [
        "data/raw/toycity/gta5: raw data were written since the run; "
        "`dvc status` shows if their content changed"
    ]
    image.write_bytes(image.read_bytes() + b" ")
    code, verdicts, _, _ = verify()
    assert code == 1 and wrong(verdicts) == ["toycity@source", "check", "preprocess@source"]
    assert "other raw data (names or sizes)" in verdicts["preprocess@source"]


def test_raw_data_may_be_removed_when_they_are_prepared(verify: Any) -> None:
    shutil.rmtree("data/raw")
    code, _, notes, _ = verify()
    assert code == 0 and "data/raw/toycity/gta5: the raw data are missing" in notes


def test_each_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    original = hashing.fingerprint
    monkeypatch.setattr(hashing, "fingerprint", lambda path: read.append(path) or original(path))
    verification.verify(Path("results"), records.scan()[0])
    assert len(read) == len(set(read)) > 100
