"""Params, inputs, code and packages that change while a stage runs fail it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intrada.core import files
from intrada.core.errors import UserError
from intrada.pipeline import code_hash, provenance, records, stage_runner
from intrada.stages import score
from tests.support.stage_execution import RANK, SCORE, append, execute_during, log, stubbed
from tests.support.stage_execution import folder as folder  # a fixture
from tests.support.stage_execution import package as package  # a fixture
from tests.support.tiny_project import PARAMS, change, tree, write_params


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
