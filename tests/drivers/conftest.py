"""One finished checkout, shared by the tests of this folder; each of them leaves it up to date."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers import project as projects
from tests.drivers.project import Project


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A fresh checkout after `snakemake --cores 3`."""
    made = projects.make(tmp_path_factory.mktemp("checkout"))
    output = made.run(*projects.SNAKEMAKE[:3], "--cores", "3").stdout
    (made.folder / "first_run.log").write_text(output)
    return made


@pytest.fixture
def project(first: Project) -> Iterator[Project]:
    """The shared checkout, up to date before and after the test, with the params it had."""
    params = (first.folder / "params.yaml").read_text()
    yield first
    (first.folder / "params.yaml").write_text(params)
    first.dvc()
