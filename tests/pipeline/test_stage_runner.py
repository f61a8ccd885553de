from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from intrada.core import atomic, files, hash_cache, hashing
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.core.stage import Choice, Context, In, Out
from intrada.data import tables
from intrada.pipeline import code_hash, execution_log, provenance, records, stage_runner
from intrada.stages import preprocess, rank, score
from tests.support.tiny_project import PARAMS, change, tree, write_params

CLASSES = tree()["classes"]
RANK: dict[str, Path | str] = {"scores": Path("scores.csv"), "out": Path("split.csv")}
SCORE: dict[str, Path | str] = {
    "target": Path("index.csv"),
    "model": Path("model.safetensors"),
    "out": Path("scores.csv"),
    "predictions": Path("predictions"),
    "confidence": Path("confidence"),
}
PREPROCESS: dict[str, Path | str] = {
    "domain": "source",
    "root": Path("raw"),
    "index": Path("data/index.csv"),
    "images": Path("data/images"),
    "label_folder": Path("data/labels"),
}


@pytest.fixture(autouse=True)
def folder(checkout: Path) -> Path:
    """A checkout with the inputs of rank, score and preprocess."""
    columns = {tables.PIXELS + name: 1 for name in CLASSES}
    scores = pd.DataFrame({"image": ["a", "b", "c"], "entropy": [0.3, 0.1, 0.2], **columns})
    tables.write(Path("scores.csv"), scores, tables.SCORES)
    Path("model.safetensors").write_bytes(b"weights")
    Path("raw").mkdir()
    for path in ("a.png", "raw/a.png"):
        files.write_image(Path(path), np.zeros((2, 3, 3), np.uint8))
    index = pd.DataFrame([("a", "a.png", "", 3, 2)], columns=tables.INDEX_COLUMNS)
    tables.write(Path("index.csv"), index, tables.INDEX)
    return checkout


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, which is hashed instead of it."""
    copy = tmp_path / "copy/intrada"
    shutil.copytree(code_hash.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_hash, "PACKAGE", copy)
    return copy


def append(path: Path, text: str) -> None:
    with path.open("a") as handle:
        handle.write(text)


def leave_outputs(options: dict[str, Any]) -> None:
    """An empty file at every path that is not there."""
    for path in options.values():
        if isinstance(path, Path) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def stubbed(
    monkeypatch: pytest.MonkeyPatch, module: Any, work: Callable[[], object] = lambda: None
) -> list[Context]:
    """Let the stage do `work` alone, its outputs being empty; the contexts that it was given."""
    seen: list[Context] = []

    @functools.wraps(module.run)
    def run(params: object, **options: Any) -> None:
        seen.append(options["context"])
        leave_outputs(options)
        work()

    monkeypatch.setattr(module, "run", run)
    return seen


def execute_during(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], module: Any = rank) -> None:
    """Run rank (or another stage) for real, then do `work` before it returns."""
    original = module.run

    @functools.wraps(original)
    def run(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        work()

    monkeypatch.setattr(module, "run", run)
    stage_runner.execute("rank", PARAMS, RANK)


def log() -> list[dict[str, str]]:
    return [json.loads(line) for line in execution_log.LOG.read_text().splitlines()]


def fingerprint(stage: str = "rank", options: dict[str, Path | str] = RANK) -> str:
    stage_runner.execute(stage, PARAMS, options)
    return log()[-1]["fingerprint"]


def test_a_stage_leaves_one_line_in_the_execution_log() -> None:
    stage_runner.execute("rank", PARAMS, RANK)
    [line] = log()
    assert set(line) == {"stage", "start", "end", "fingerprint", "outcome", "work", "outputs"}
    assert line["outputs"] == ["split.csv"]
    assert line["work"] == {"unit": "stages", "amount": 1}
    assert (line["stage"], line["outcome"]) == ("rank", "done")
    start, end = (datetime.fromisoformat(line[key]) for key in ("start", "end"))
    assert start.utcoffset() is not None and start <= end
    assert len(line["fingerprint"]) == 32
    assert tables.read(Path("split.csv"), tables.SPLIT)["image"].tolist() == ["b", "c", "a"]
    stage_runner.execute("rank", PARAMS, RANK)
    assert len(log()) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("fault"), UserError("a", "b", "c", "d")])
def test_a_stage_that_fails_is_logged_as_failed(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        execute_during(monkeypatch, fail)
    assert [line["outcome"] for line in log()] == ["failed"]


def test_an_output_that_the_stage_did_not_write_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="split.csv: no such file"):
        execute_during(monkeypatch, Path("split.csv").unlink)
    assert log()[0]["outcome"] == "failed"


def test_params_edited_during_the_run_fail_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="params.yaml: changed while the stage ran"):
        execute_during(monkeypatch, lambda: write_params(change(tree(), rank__easy_fraction=0.5)))
    assert log()[0]["outcome"] == "failed"


def test_params_of_other_stages_may_be_edited_during_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    execute_during(monkeypatch, lambda: write_params(change(tree(), seed=5, score__batch_size=3)))
    assert log()[0]["outcome"] == "done"


def test_an_input_edited_during_the_run_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="scores.csv: changed while the stage ran"):
        execute_during(monkeypatch, lambda: Path("scores.csv").write_text("image,entropy\n"))
    assert log()[0]["outcome"] == "failed"


def test_an_input_removed_during_the_run_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="scores.csv: no such file"):
        execute_during(monkeypatch, Path("scores.csv").unlink)
    assert log()[0]["outcome"] == "failed"


def test_an_image_of_an_index_edited_during_the_run_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, score, lambda: files.write_image(Path("a.png"), np.ones((2, 3, 3), np.uint8)))
    with pytest.raises(UserError, match="a.png: changed while the stage ran"):
        stage_runner.execute("score", PARAMS, SCORE)
    assert log()[0]["outcome"] == "failed"


def test_a_missing_input_is_named_with_the_way_back() -> None:
    Path("scores.csv").unlink()
    with pytest.raises(UserError, match=r"scores.csv: no such file(.|\n)*`dvc repro` or `snakemake`"):
        stage_runner.execute("rank", PARAMS, RANK)
    assert not execution_log.LOG.exists() and not Path("split.csv").exists()


def test_a_missing_image_of_an_index_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = stubbed(monkeypatch, score)
    Path("a.png").unlink()
    with pytest.raises(UserError, match="a.png: no such file"):
        stage_runner.execute("score", PARAMS, SCORE)
    assert not seen


def test_wrong_params_of_any_stage_stop_every_stage() -> None:
    write_params(change(tree(), train_intra__batch_size=0))
    with pytest.raises(UserError, match="train_intra.batch_size"):
        stage_runner.execute("rank", PARAMS, RANK)


@pytest.mark.parametrize(
    "marks, options, name",
    [
        ({"scores": In(""), "out": Out("")}, {"scores": Path("s"), "out": Path("o")}, "rank"),
        ({"domain": Choice("", ("source",)), "out": Out("")}, {"domain": "source", "out": "o"}, "rank@source"),
        ({"name": Choice(""), "context": Context}, {"name": "of my own"}, "rank@of my own"),
    ],
)  # fmt: skip
def test_a_job_is_called_as_dvc_calls_it(marks: Any, options: Any, name: str) -> None:
    assert stage_runner.job_name("rank", marks, options) == name


def test_the_context_names_job_fingerprint_and_checkpoint_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = stubbed(monkeypatch, preprocess)
    stage_runner.execute("preprocess", PARAMS, PREPROCESS)
    [context] = seen
    assert (context.name, context.runs) == ("preprocess@source", Path("runs/preprocess@source"))
    assert context.fingerprint == log()[0]["fingerprint"]


def test_a_stage_is_handed_the_params_that_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    @functools.wraps(preprocess.run)
    def run(params: object, **options: Any) -> None:
        seen.append(params)
        leave_outputs(options)

    monkeypatch.setattr(preprocess, "run", run)
    stage_runner.execute("preprocess", PARAMS, PREPROCESS)
    assert seen[0].preprocess.source.dataset == "gta5"
    for hidden in (lambda: seen[0].preprocess.target, lambda: seen[0].seed):
        with pytest.raises(AttributeError):
            hidden()


def test_the_fingerprint_changes_with_params_and_inputs_that_the_stage_reads() -> None:
    found = [fingerprint()]
    write_params(change(tree(), seed=5, train_inter__iterations=3))
    os.utime("scores.csv")
    assert fingerprint() == found[0]
    write_params(change(tree(), rank__easy_fraction=0.5))
    found.append(fingerprint())
    text = Path("scores.csv").read_text()
    Path("scores.csv").write_text(text.replace("0.3", "0.4"))
    found.append(fingerprint())
    assert len(set(found)) == 3


def test_the_fingerprint_changes_with_an_image_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, score)
    before = fingerprint("score", SCORE)
    files.write_image(Path("a.png"), np.ones((2, 3, 3), np.uint8))
    assert fingerprint("score", SCORE) != before


def test_a_second_start_reads_no_image_and_has_the_same_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, score)
    clock, original, read = time.time_ns, hashing.file_hash, list[Path]()
    before = fingerprint("score", SCORE)
    hash_cache.PATH.unlink(missing_ok=True)  # on a busy machine some files were old enough
    monkeypatch.setattr(hash_cache.time, "time_ns", lambda: clock() + 60 * 10**9)  # the files are old
    monkeypatch.setattr(hashing, "file_hash", lambda path: read.append(path) or original(path))
    assert fingerprint("score", SCORE) == before
    assert {Path("index.csv"), Path("a.png"), SCORE["model"], SCORE["out"]} <= set(read)
    read.clear()
    monkeypatch.setattr(score, "run", functools.wraps(score.run)(lambda *arguments, **options: None))
    assert fingerprint("score", SCORE) == before
    assert read == []
    files.write_image(Path("a.png"), np.ones((2, 3, 3), np.uint8))
    assert fingerprint("score", SCORE) != before


def test_raw_data_are_known_by_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, preprocess)
    before = fingerprint("preprocess", PREPROCESS)
    assert fingerprint("preprocess", PREPROCESS) == before
    os.utime("raw/a.png", (1, 1))
    assert fingerprint("preprocess", PREPROCESS) != before


@pytest.mark.parametrize(
    "module, moved",
    [
        ("methods/ranking.py", True),
        ("core/files.py", True),
        ("stages/rank.py", True),
        ("stages/score.py", False),
        ("training/trainer.py", False),
    ],
)
def test_the_fingerprint_changes_with_the_code_that_the_stage_imports(
    package: Path, module: str, moved: bool
) -> None:
    before = fingerprint()
    append(package / module, "# a comment\n")
    assert fingerprint() == before
    append(package / module, "EDITED = 1\n")
    assert (fingerprint() != before) == moved


def test_code_edited_during_the_run_fails_it(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    with pytest.raises(
        UserError, match=r"intrada\.methods\.ranking: the code was edited while the stage ran"
    ):
        execute_during(monkeypatch, lambda: append(package / "methods/ranking.py", "EDITED = 1\n"))
    assert log()[0]["outcome"] == "failed" and records.scan()[0] == []


def test_code_of_other_stages_and_comments_may_be_edited_during_the_run(
    monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    def edit() -> None:
        append(package / "stages/score.py", "EDITED = 1\n")
        append(package / "methods/ranking.py", "# a comment\n")

    execute_during(monkeypatch, edit)
    assert log()[0]["outcome"] == "done"


def test_code_edited_between_the_hash_and_the_import_fails_the_run(package: Path) -> None:
    code = code_hash.reading("rank")  # as the command line does before it imports the stage
    append(package / "methods/ranking.py", "EDITED = 1\n")
    with pytest.raises(UserError, match=r"intrada\.methods\.ranking: the code was edited"):
        stage_runner.execute("rank", PARAMS, RANK, code)


def test_a_package_updated_during_the_run_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = provenance.version

    def update() -> None:
        monkeypatch.setattr(provenance, "version", lambda name: "0" if name == "torch" else installed(name))

    with pytest.raises(UserError, match=r"installed packages: torch 0, torch .*: changed while"):
        execute_during(monkeypatch, update)


def test_a_stage_whose_code_was_edited_since_the_run_began_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DVC_STAGE", "rank")
    code_hash.write(code_hash.FOLDER, code_hash.texts())
    stage_runner.execute("rank", PARAMS, RANK)
    Path("split.csv").unlink()
    (code_hash.FOLDER / "rank.txt").write_text("other code")
    with pytest.raises(UserError, match=r"results/code/rank.txt: the code was edited"):
        stage_runner.execute("rank", PARAMS, RANK)
    assert not Path("split.csv").exists()


def test_the_fingerprint_changes_with_the_version_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    before, installed = fingerprint(), provenance.version
    monkeypatch.setattr(provenance, "version", lambda name: "0" if name == "torch" else installed(name))
    assert fingerprint() != before


def test_the_params_file_may_have_another_name() -> None:
    Path("other.yaml").write_text(plain_yaml.dump(change(tree(), rank__easy_fraction=0)))
    stage_runner.execute("rank", Path("other.yaml"), RANK)
    assert set(tables.read(Path("split.csv"), tables.SPLIT)["subset"]) == {"hard"}


def test_a_stage_first_removes_what_a_killed_one_left_beside_its_outputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: gone.pid)
        folders = ["", "runs/rank/0123", "logs", "logs/provenance/jobs/rank", "logs/provenance/folders"]
        left = [atomic._sibling(Path(folder) / "x.json") for folder in folders]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    assert records.scan()[0] == []
    stage_runner.execute("rank", PARAMS, RANK)
    assert not any(path.exists() for path in left) and len(records.scan()[0]) == 1
