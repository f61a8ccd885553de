"""Results of Git revisions, from a small DVC project without stages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from intrada.__main__ import main
from intrada.core.errors import UserError
from intrada.pipeline import revisions
from tests.evaluation.reporting import test_comparison as runs

DVC = (sys.executable, "-m", "dvc")
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")


def call(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project: the commit `one` has the results of one run; `two`, the last commit, those of another."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call("git", "init", "-q")
        call(*DVC, "init", "-q")
        for run in ("one", "two"):
            runs.write(run)
            shutil.rmtree("results", ignore_errors=True)
            shutil.move(f"{run}/results", "results")
            shutil.copytree(f"{run}/data", "data", dirs_exist_ok=True)
            shutil.rmtree(run)
            call(*DVC, "add", "-q", "results/evaluate", "results/report/params.json", "data")
            call("git", "add", "-A")
            call(*GIT, "commit", "-qm", run)
            call("git", "tag", run)
    return folder


@pytest.fixture
def project(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, as working directory."""
    folder = tmp_path / "project"
    shutil.copytree(repository, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def test_two_revisions_are_compared_without_a_checkout(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("results/evaluate/intra/metrics.json").read_bytes()
    assert main(["compare", "one", "HEAD"]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rank.easy_fraction", "0.67", "0.5"] in printed
    assert ["intra", "mIoU", "40.0", "50.0", "+10.0"] in printed
    page = Path("compare/index.html").read_text(encoding="utf-8")
    assert page.count('src="data:') == 3 * 5  # image and label are those of the revision, too
    assert Path("results/evaluate/intra/metrics.json").read_bytes() == before


def test_a_revision_is_compared_with_the_present_files(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "one", "."]) == 0
    assert "+10.0" in capsys.readouterr().out


def test_an_unknown_revision_is_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a results folder, a Git revision or an experiment"):
        revisions.fetch("nowhere", project, tmp_path / "copy")


def test_a_revision_whose_results_are_not_in_the_cache_is_named(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(".dvc/cache")
    with pytest.raises(UserError, match="whose results are in the cache"):
        revisions.fetch("one", project, tmp_path / "copy")


def test_outside_of_a_project_a_folder_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not in a DVC project"):
        revisions.fetch("HEAD", tmp_path, tmp_path / "copy")
