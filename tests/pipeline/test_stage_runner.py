"""How a stage is run: its log, what it is given, what it refuses before it starts."""

from __future__ import annotations

import functools
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from intrada.core import atomic
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.core.stage import Choice, Context, In, Out
from intrada.data import tables
from intrada.pipeline import execution_log, records, stage_runner
from intrada.stages import preprocess, score
from tests.support.stage_execution import (
    PREPROCESS,
    RANK,
    SCORE,
    execute_during,
    leave_outputs,
    log,
    stubbed,
)
from tests.support.stage_execution import folder as folder  # a fixture
from tests.support.tiny_project import PARAMS, change, tree, write_params


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
