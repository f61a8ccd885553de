"""One finished checkout, shared by the tests of this folder; each of them leaves it up to date."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import project as projects
from tests.support.project import Project

# Every character that a shell, Snakemake or a URL may take for its own. DVC fails below a folder with braces.
NAME = 'Über\'s $HOME; (a) & "b" 日本 #1 %20 *'


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A fresh checkout after `snakemake --cores 3`; of several workers one makes it, the others copy it.

    Its folder has a name that needs quotes.
    """
    own = tmp_path_factory.mktemp("checkout")
    if worker_id == "master":
        return _run(own / NAME)
    shared = tmp_path_factory.getbasetemp().parent / "first"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            shutil.copytree(_run(own / NAME).folder, shared, symlinks=True)
    return Project(shutil.copytree(shared, own / "mine" / NAME, symlinks=True))


def _run(folder: Path) -> Project:
    folder.mkdir()
    made = projects.make(folder)
    output = made.run(*projects.SNAKEMAKE[:3], "--cores", "3").stdout
    (made.folder / "logs/first_run.log").write_text(output)
    return made


@pytest.fixture
def project(first: Project) -> Iterator[Project]:
    """The shared checkout, up to date before and after the test, with the params it had."""
    params, before = (first.folder / "params.yaml").read_text(), first.stamps()
    yield first
    (first.folder / "params.yaml").write_text(params)
    if first.stamps() != before:
        first.dvc()
