"""The tiny project: once empty, once with every stage but the report run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from intrada.core import plain_text
from tests.support import tiny_project
from tests.support.definition import ROOT
from tests.support.skipped import left_out

# What tests start keeps compiled modules, as it does for a user, also where the tests' own process must not.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is no failure.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first under `--dist loadgroup`, so that no worker is left alone with them at the end."""
    if config.getoption("loadgroup", False):  # set in the workers, where `dist` is always "no"
        from tests.support import scheduling  # it needs pytest-xdist

        items.sort(key=lambda item: scheduling.rank(item.path.relative_to(ROOT).as_posix()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out the tests of `make test` by scheduling.LongFilesFirst."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.support import scheduling

    return scheduling.LongFilesFirst(config, log)


def pytest_collection_finish() -> None:
    """Torch has one thread in the process of the tests: their tensors are small, and the workers share the cores."""
    if torch := sys.modules.get("torch"):  # its import takes seconds, and many tests need none
        torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print at the end which tests were not run, why, and how to run them."""
    skipped = terminalreporter.stats.get("skipped", [])
    for line in left_out(skipped, config.getoption("markexpr"), config.getini("markers")):
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def messages_are_shown() -> None:
    """Notes and warnings go to stderr, as in the programs of the package."""
    plain_text.show()


@pytest.fixture
def params_tree() -> dict[str, Any]:
    """A valid params tree of one's own."""
    return tiny_project.tree()


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """After the test torch has as many threads as before it."""
    import torch  # here, since it takes seconds and many tests need none

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """After the test the CPU computes with denormal numbers again, which stages treat as 0 and hypothesis needs."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def one_thread(restored_threads: None) -> None:
    """Torch has one thread during the test."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a tiny project before its first stage."""
    monkeypatch.chdir(tmp_path)
    tiny_project.start(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny project after all stages but the report; to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny_project.start(folder)
        for name in tiny_project.ORDER:
            assert tiny_project.run(name) == 0, name
    yield folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the finished project, without its checkpoints and log."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("runs", "execution.jsonl"))
    monkeypatch.chdir(folder)
    return folder
