"""A place: the finished tiny project, in which a few jobs run again under other circumstances."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from intrada.core import hashing
from tests.support import tiny_project
from tests.support.definition import ROOT, jobs

# Jobs without torch, about a second; the same with an inference, three seconds; with a training, five
TABLES = ("preprocess@val", "rank", "pseudo_label")
INFERENCE = ("preprocess@val", "score", "rank", "pseudo_label")
TRAINING = ("preprocess@val", "train_inter", "score", "rank", "pseudo_label")
MADE = ("data/preprocess", "results")


def made(folder: Path) -> dict[str, str]:
    """Return path -> fingerprint of every artifact."""
    return {
        path.relative_to(folder).as_posix(): hashing.fingerprint(path)
        for name in MADE
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


@dataclass
class Place:
    """A copy of the finished project. expected: the artifacts of the undisturbed run."""

    folder: Path
    expected: dict[str, str]
    result: subprocess.CompletedProcess[str] | None = field(default=None)

    def forget(self, names: Sequence[str] = TRAINING) -> None:
        """Remove the outputs of these jobs."""
        by_name = jobs(tiny_project.tree())
        for name in names:
            for out in by_name[name].outs:
                path = self.folder / out
                files = path.rglob("*") if path.is_dir() else [path]
                for file in [file for file in files if file.is_file()]:
                    file.unlink()

    def run(
        self,
        names: Sequence[str] = TRAINING,
        *,
        before: str = "",
        flags: Sequence[str] = (),
        program: Sequence[str] = (),
        env: Mapping[str, str | None] | None = None,
        forget: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run the jobs again in one process, without their former outputs; stdout and stderr are captured.

        before: commands of a shell, such as `ulimit -n 64`; flags: options of Python; program: the text of
        another program and its first arguments; env: changes of the environment, None
        for a variable that is not set; forget: whether the former outputs are removed.
        """
        if forget:
            self.forget(names)
        start = ["-c", *program] if program else ["-m", "tests.places.short_run"]
        command = [sys.executable, *flags, *start, *names]
        if before:
            command = ["bash", "-c", f'{before}\nexec "$@"', "bash", *command]
        self.result = subprocess.run(
            command, cwd=self.folder, env=environment(env or {}), text=True, errors="replace",
            capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return self.result

    def same_bytes(self) -> None:
        """Check that the last run succeeded and that every artifact is that of the undisturbed run."""
        assert self.result is not None
        assert self.result.returncode == 0, self.result.stderr[-3000:]
        assert made(self.folder) == self.expected

    def refused(self, *words: str) -> None:
        """Check that the last run ended with one message that contains the words, and no traceback."""
        assert self.result is not None
        errors = self.result.stderr
        assert self.result.returncode == 1, errors[-3000:]
        assert errors.count("error: ") == 1 and "Traceback" not in errors, errors[-3000:]
        assert all(word in errors for word in words), errors[-3000:]


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables of a child process, with changes; None: not set."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    return {name: value for name, value in variables.items() if value is not None}


@pytest.fixture(scope="session")
def expected(finished: Path) -> dict[str, str]:
    """The artifacts of the undisturbed run."""
    return made(finished)


@pytest.fixture
def place(project: Path, expected: dict[str, str]) -> Place:
    """A copy of the finished project of one's own, which is the working directory."""
    return Place(project, expected)
