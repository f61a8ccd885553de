"""The small project, with its raw data and the outputs of its stages, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support import bad_inputs_tree, tiny_project


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small project after all stages up to the pseudo-labels; tests must not change it."""
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("INTRADA_WORKERS", "1")
        torch.set_num_threads(1)
        (folder / "weights").mkdir()
        (folder / "weights/random").touch()
        bad_inputs_tree.use()
        bad_inputs_tree.draw()
        for job, options in bad_inputs_tree.JOBS:
            assert tiny_project.run(job, **options) == 0, job
    torch.set_flush_denormal(False)  # a stage sets it; hypothesis needs numbers near 0
    yield folder


@pytest.fixture(autouse=True)
def small(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the small project."""
    folder = tmp_path / "small"
    shutil.copytree(outputs, folder, ignore=shutil.ignore_patterns("runs", "logs"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("INTRADA_WORKERS", "1")
    torch.set_num_threads(1)
    return folder


@pytest.fixture
def stage(capsys: pytest.CaptureFixture[str]) -> bad_inputs_tree.Stage:
    """A runner of stages in the working directory, which checks their messages."""
    return bad_inputs_tree.Stage(capsys)
