"""SLURM on three nodes, and a checkout in which all that a training reads is made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import slurm
from tests.cluster.slurm import Slurm
from tests.support import project as projects
from tests.support.optional import needs
from tests.support.project import Project

ITERATIONS = 400  # some seconds, with a checkpoint every 20


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    needs("snakemake_executor_plugin_slurm", "slurm")
    if reason := slurm.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)  # munge looks into it
    with slurm.running(folder) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("TMPDIR", "/var/tmp")  # noqa: S108 - each node has its own
        yield started


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout with all inputs of train_source."""
    made = projects.make(tmp_path_factory.mktemp("prepared"))
    sizes = {
        "iterations": ITERATIONS,
        "max_iters": ITERATIONS,
        "checkpoint_every": 20,
        "snapshot_every": ITERATIONS,
    }
    made.set_params(**{f"train_source__{key}": value for key, value in sizes.items()})
    made.snakemake("preprocess_source", "join_sources")
    return made


@dataclass(frozen=True)
class Model:
    """The bytes of the outputs of an undisturbed run of train_source."""

    outputs: dict[str, bytes]


@pytest.fixture(scope="session")
def expected(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Made on this machine, without SLURM."""
    copy = copied(prepared, tmp_path_factory.mktemp("expected") / "copy")
    copy.snakemake("train_source")
    return Model(copy.contents("results/train_source"))


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Project:
    """A copy of the checkout of one's own."""
    return copied(prepared, tmp_path / "copy")


def copied(project: Project, folder: Path) -> Project:
    return Project(Path(shutil.copytree(project.folder, folder, symlinks=True)))
