"""A result goes to a DVC remote and comes back in a fresh clone, where nothing is computed (docs/how-to/share.md)."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support import project as projects
from tests.support.project import Project

pytestmark = pytest.mark.drivers


def test_a_fresh_clone_pulls_a_result_and_computes_nothing(first: Project, tmp_path: Path) -> None:
    own = Project(shutil.copytree(first.folder, tmp_path / "own", symlinks=True))
    own.dvc("remote", "add", "--default", "team", str(tmp_path / "remote"))
    own.commit("first result")
    own.dvc("push")
    clone = cloned(own, tmp_path / "clone")
    clone.dvc("pull")
    made = ("results/report", "results/train_intra", "results/score")
    assert clone.contents(*made) == own.contents(*made)
    assert "Nothing to be done" in clone.snakemake("-n").stdout
    assert clone.stages_run_by(clone.snakemake) == []
    assert clone.stages_run_by(clone.dvc) == []
    assert "up to date" in clone.dvc("status").stdout
    assert "jobs are consistent" in clone.run("python", "-m", "intrada", "verify").stdout


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server in a process of its own, which has a bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    log = tmp_path / "s3.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as server:
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text())):
                assert time.monotonic() < deadline and server.poll() is None, log.read_text()
                time.sleep(0.05)
            connection = http.client.HTTPConnection(found[0].removeprefix("http://"))
            connection.request("PUT", "/bucket")
            assert connection.getresponse().status == 200
            connection.close()
            yield found[0]
        finally:
            server.kill()


def test_a_model_is_pulled_from_s3_and_evaluated_without_the_other_models(
    first: Project, tmp_path: Path, endpoint: str
) -> None:
    own = Project(shutil.copytree(first.folder, tmp_path / "own", symlinks=True))
    own.dvc("remote", "add", "--default", "team", "s3://bucket/results")
    own.dvc("remote", "modify", "team", "endpointurl", endpoint)
    own.commit("first result")
    own.dvc("push")
    clone = cloned(own, tmp_path / "clone")

    # only what the evaluation of one model reads; the other models stay where they are
    clone.dvc("pull", "train_intra", "preprocess@val", "evaluate@inter")
    assert not [*clone.folder.glob("results/train_inter/*.safetensors")]
    ran = clone.stages_run_by(lambda: clone.dvc("repro", "-s", "validate", "evaluate@intra"))
    assert ran == ["evaluate@intra"]
    assert clone.contents("results/evaluate/intra") == own.contents("results/evaluate/intra")


def cloned(origin: Project, folder: Path) -> Project:
    """Clone the repository into `folder`."""
    origin.run("git", "clone", "-q", str(origin.folder), str(folder))
    return Project(folder)


@contextmanager
def queue_workers(project: Project, count: int) -> Iterator[None]:
    """Start workers of DVC's queue, and kill those that still run at the end of the block.

    A worker of DVC ends by itself some seconds after the queue is empty, but not always, and keeps the pipes that
    it was started with. So it gets none.
    """
    started = [*projects.DVC, "queue", "start", "--jobs", str(count)]
    try:
        subprocess.run(
            started, cwd=project.folder, env=projects.environment(), check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        yield
    finally:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if "queue-worker" in process.cmdline() and Path(process.cwd()) == project.folder.resolve():
                    process.kill()


def finished_experiments(project: Project) -> set[str]:
    """Return the names of the experiments that have a result: each is a Git reference."""
    listed = project.run("git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps")
    return set(listed.stdout.split())


def test_two_workers_run_a_queue_of_experiments_and_another_clone_gets_them_from_a_bare_repository(
    first: Project, tmp_path: Path
) -> None:
    """The two of the queue differ in the title of the report, so that no training is computed."""
    own = Project(shutil.copytree(first.folder, tmp_path / "own", symlinks=True))
    own.dvc("remote", "add", "--default", "team", str(tmp_path / "remote"))
    own.run("git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "bare.git"))
    own.run("git", "remote", "add", "origin", str(tmp_path / "bare.git"))
    own.commit("first result")
    queued = own.dvc("exp", "run", "--queue", "-S", "report.title=low,high").stdout
    names = re.findall(r"Queued experiment '([^']+)'", queued)
    assert len(names) == 2, queued
    with queue_workers(own, 2):
        deadline = time.monotonic() + 600
        while set(names) - finished_experiments(own):
            assert time.monotonic() < deadline, own.dvc("queue", "status").stdout
            time.sleep(0.5)
    # each had a folder of its own
    assert own.contents("results/report") == first.contents("results/report")

    own.run("git", "push", "-q", "origin", "HEAD:main")
    own.dvc("exp", "push", "origin", *names)
    clone = cloned(Project(tmp_path / "bare.git"), tmp_path / "clone")
    clone.dvc("exp", "pull", "origin", *names)
    titles = []
    for name in names:
        clone.dvc("exp", "apply", name)
        titles.append(clone.params()["report"]["title"])
        page = (clone.folder / "results/report/index.html").read_text(encoding="utf-8")
        assert f"<title>{titles[-1]}" in page
        assert clone.stages_run_by(clone.dvc) == []
    assert sorted(titles) == ["high", "low"]
