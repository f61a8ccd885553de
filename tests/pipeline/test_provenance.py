"""The record that a run leaves, on the tiny project."""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import subprocess
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from intrada.core import files, hashing
from intrada.pipeline import provenance, records
from intrada.pipeline.provenance import Run, Source
from intrada.stages import rank
from tests.support.definition import jobs
from tests.support.tiny_project import ORDER, change, run, tree, write_params

FOLDER = records.FOLDER / "jobs"
RUN = Run("score", "0" * 32, ["score"], {})


def written(job: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((FOLDER / job).iterdir())]


def record(job: str) -> dict[str, Any]:
    [only] = written(job)
    return only


def leave(run: Run = RUN, *sources: Source) -> dict[str, Any]:
    """The record of a run that wrote one file."""
    with run.recorded(sources, [Path("out.csv")]):
        Path("out.csv").write_text("a\n")
    return record(run.job)


def git(*words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(checkout: Path) -> str:
    """A checkout in git; its revision."""
    git("init", "-q")
    Path("dvc.lock").write_text("stages: {}\n")
    Path(".gitignore").write_text("/logs/\n/out.csv\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return git("rev-parse", "HEAD")


# --- what a record says


@pytest.mark.parametrize("name", ORDER)
def test_every_job_leaves_one_record_of_its_outputs_and_params(project: Path, name: str) -> None:
    found, job = record(name), jobs(tree())[name]
    assert found["job"] == name
    # of the first pass, dvc.yaml gives no name of a round: --round ''
    given = [word for word in job.argv[1:] if word not in ("--round", "")]
    assert found["command"] == [job.word, "--params", "params.yaml", *given]
    assert found["outputs"] == {path: hashing.fingerprint(Path(path)) for path in found["outputs"]}
    assert set(found["outputs"]) == set(job.outs)
    assert sorted(found["params"]) == sorted(job.params)
    assert datetime.fromisoformat(found["start"]) <= datetime.fromisoformat(found["end"])


@pytest.mark.parametrize("name", ORDER)
def test_every_input_of_a_job_is_in_its_record(project: Path, name: str) -> None:
    found = record(name)
    read = found["inputs"] | found["raw"]
    deps = jobs(tree())[name].deps
    assert all(any(Path(path).is_relative_to(dep) for dep in deps) for path in read)
    assert found["inputs"] == {path: hashing.fingerprint(Path(path)) for path in found["inputs"]}
    assert found["raw"] == {path: hashing.stat_fingerprint(Path(path)) for path in found["raw"]}
    assert set(found["images"]) <= set(found["inputs"])
    assert bool(found["raw"]) == (name.split("@")[0] in ("check", "preprocess"))


def test_seed_and_device_are_those_of_the_run(project: Path) -> None:
    said = {name: [record(name)[key] for key in ("seed", "device", "threads")] for name in ORDER}
    assert said["train_inter"] == [1, "cpu", 1]
    assert said["score"] == [None, "cpu", 1]
    assert said["rank"] == [None, None, None]
    assert said["toycity@source"] == [11, None, None]


@pytest.mark.slow
def test_trainings_have_threads_of_their_own(project: Path, restored_threads: None) -> None:
    write_params(change(tree(), compute__threads=2, compute__inference_threads=3))
    expected = {"train_inter": 2, "score": 3, "evaluate@inter": 3, "evaluate_snapshots@inter": 3}
    for name, threads in expected.items():
        assert run(name) == 0
        found = {each["threads"] for each in written(name)}
        assert found == {1, threads}  # of the run before, and of this one


def test_params_are_those_that_the_stage_reads(project: Path) -> None:
    assert record("rank")["params"] == {"rank": tree()["rank"]}
    assert record("preprocess@val")["params"]["preprocess.val"] == tree()["preprocess"]["val"]


def test_versions_are_those_that_are_installed(checkout: Path) -> None:
    found = leave()
    assert found["versions"].pop("python") == platform.python_version()
    assert {"torch", "torchvision", "numpy", "pandas", "pillow", "dvc", "snakemake"} <= set(found["versions"])
    assert found["versions"]["numpy"] == metadata.version("numpy")
    assert found["platform"] == platform.platform()


def test_a_package_that_is_not_there_has_no_version(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    assert leave()["versions"]["no-such-package"] is None


# --- git


def test_the_record_says_revision_and_whether_files_differ_from_it(repository: str) -> None:
    assert [leave()[key] for key in ("revision", "dirty")] == [repository, False]
    Path("params.yaml").write_text("# edited\n")
    assert [leave()[key] for key in ("revision", "dirty")] == [repository, True]


def test_a_new_file_makes_the_checkout_dirty_and_dvc_lock_does_not(repository: str) -> None:
    Path("dvc.lock").write_text("stages: {rank: {}}\n")
    assert leave()["dirty"] is False
    Path("new.py").touch()
    assert leave()["dirty"] is True


def test_a_project_in_a_folder_of_a_repository_sees_all_of_it(
    repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("inner").mkdir()
    for name in ("inner/dvc.lock", "inner/.gitignore"):
        Path(name).write_text("/logs/\n/out.csv\n")
    git("add", ".")
    git("commit", "-qm", "second")
    monkeypatch.chdir("inner")
    Path("dvc.lock").write_text("stages: {rank: {}}\n")
    assert leave()["dirty"] is False
    Path("../params.yaml").write_text("# edited\n")
    assert leave()["dirty"] is True


def test_code_edited_during_the_run_did_not_make_its_output(repository: str) -> None:
    with RUN.recorded([], []):
        Path("new.py").touch()
    assert record("score")["dirty"] is False


def test_outside_of_git_there_is_no_revision(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    assert [leave()[key] for key in ("revision", "dirty")] == [None, None]


def test_without_git_there_is_no_revision(repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert [leave()[key] for key in ("revision", "dirty")] == [None, None]


# --- when it is written


def test_two_runs_leave_the_same_record_but_for_the_times(project: Path) -> None:
    first = record("rank")
    assert run("rank") == 0
    second = record("rank")
    assert first.pop("checksum") != second.pop("checksum")
    for key in ("start", "end"):
        assert first.pop(key) < second.pop(key)
    assert first == second


def test_other_outputs_leave_a_record_beside_the_first(project: Path) -> None:
    first = record("rank")
    write_params(change(tree(), rank__easy_fraction=0.4))
    assert run("rank") == 0
    assert len(written("rank")) == 2 and first in written("rank")


def test_a_stage_that_fails_leaves_no_record(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written("rank")
    shutil.rmtree(FOLDER / "rank")
    Path("results/score/scores.csv").write_text("image\n")
    assert run("rank") == 1
    assert before and not (FOLDER / "rank").exists()


def test_params_edited_during_the_run_leave_no_record(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(FOLDER / "rank")
    original = rank.run

    @functools.wraps(original)
    def edited(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        write_params(change(tree(), rank__easy_fraction=0.4))

    monkeypatch.setattr(rank, "run", edited)
    assert run("rank") == 1 and "changed while the stage ran" in capsys.readouterr().err
    assert not (FOLDER / "rank").exists()


def test_a_record_changes_no_output(checkout: Path) -> None:
    out = Path("out")
    with RUN.recorded([], [out]):
        out.mkdir()
        (out / "a.csv").write_text("a\n")
        before = hashing.stat_fingerprint(out)
    assert hashing.stat_fingerprint(out) == before
    assert files.list_files(out) == [out / "a.csv"]


def test_the_files_of_an_output_folder_are_noted_under_its_fingerprint(project: Path) -> None:
    folder = Path("results/score/predictions")
    noted = records.files_of(record("score")["outputs"][folder.as_posix()])
    assert noted == {path.name: hashing.fingerprint(path) for path in folder.iterdir()} and len(noted) == 10
    assert hashing.joint_fingerprint(noted) == hashing.fingerprint(folder)


def test_records_come_back_oldest_first(project: Path) -> None:
    found = records.scan()[0]
    assert sorted(one.job for one in found) == sorted(ORDER)
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert found[-1].outputs == record(found[-1].job)["outputs"]
