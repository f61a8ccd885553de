"""What happens to a running stage: suspended, interrupted twice, copied, its params replaced by Git."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from intrada.core.config import plain_yaml
from tests.places.conftest import Place, environment, made
from tests.support import tiny_project

pytestmark = pytest.mark.slow

ITERATIONS = 24
CHECKPOINT = "runs/train_inter/*/checkpoint_*.pt"
MODEL = Path("results/train_inter/last.safetensors")
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]


def params(**changes: object) -> str:
    """Return params whose train_inter is long enough to be met while it runs."""
    longer = {"iterations": ITERATIONS, "max_iters": ITERATIONS, "checkpoint_every": 4, "snapshot_every": 99}
    changes |= {f"train_inter__{key}": value for key, value in longer.items()}
    return plain_yaml.dump(tiny_project.change(tiny_project.tree(), **changes))


@pytest.fixture(scope="module")
def undisturbed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of the long training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(finished, folder)
    (folder / "params.yaml").write_text(params())
    assert Place(folder, {}).run(["train_inter"]).returncode == 0
    return (folder / MODEL).read_bytes()


@pytest.fixture
def training(place: Place) -> Place:
    """A place before the long training."""
    (place.folder / "params.yaml").write_text(params())
    shutil.rmtree(MODEL.parent)
    return place


@contextmanager
def running(place: Place) -> Iterator[subprocess.Popen[str]]:
    """Start the training, and enter the block when it has a checkpoint."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.places.short_run", "train_inter"], cwd=place.folder, text=True,
        env=environment({}), stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        while process.poll() is None and not list(Path().glob(CHECKPOINT)):
            time.sleep(0.005)
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: subprocess.Popen[str], place: Place) -> None:
    """Wait for the end and keep the result in the place."""
    _, errors = process.communicate()
    place.result = subprocess.CompletedProcess([], process.returncode, "", errors)


def test_a_training_that_is_suspended_and_continued_makes_the_same_bytes(
    training: Place, undisturbed: bytes
) -> None:
    with running(training) as process:
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            process.send_signal(signal.SIGCONT)
        ended(process, training)
    assert training.result and training.result.returncode == 0
    assert MODEL.read_bytes() == undisturbed


def test_a_second_interrupt_ends_a_training_at_once_and_the_next_run_makes_the_same_bytes(
    training: Place, undisturbed: bytes
) -> None:
    with running(training) as process:
        process.send_signal(signal.SIGSTOP)  # so that both arrive within one iteration
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        ended(process, training)
    assert training.result and training.result.returncode == 130
    assert "Traceback" not in training.result.stderr
    assert not MODEL.exists()
    assert training.run(["train_inter"]).returncode == 0
    assert MODEL.read_bytes() == undisturbed


def test_a_copy_of_the_folder_taken_during_a_training_goes_on_elsewhere_to_the_same_bytes(
    training: Place, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a snapshot of a virtual machine or of a disk: no process of it has ended properly."""
    with running(training) as process:
        process.send_signal(signal.SIGSTOP)
        shutil.copytree(training.folder, tmp_path / "copy", symlinks=True)
    training.folder = tmp_path / "copy"
    monkeypatch.chdir(training.folder)
    training.run(["train_inter"])
    assert training.result and "resuming from" in training.result.stderr
    assert MODEL.read_bytes() == undisturbed


def test_params_that_git_brings_back_during_a_training_fail_it_and_both_trainings_are_right(
    training: Place, undisturbed: bytes
) -> None:
    """git stash, git checkout of another branch and dvc exp apply replace params.yaml."""
    (training.folder / ".gitignore").write_text("*\n!params.yaml\n")
    subprocess.run([*GIT, "init", "-q"], check=True)
    subprocess.run([*GIT, "add", "params.yaml"], check=True)
    subprocess.run([*GIT, "commit", "-qm", "start"], check=True)
    (training.folder / "params.yaml").write_text(params(seed=7))
    with running(training) as process:
        subprocess.run([*GIT, "stash", "-q"], check=True)
        ended(process, training)
    training.refused("params.yaml", "changed while the stage ran")
    assert training.run(["train_inter"], forget=False).returncode == 0
    assert MODEL.read_bytes() == undisturbed
    subprocess.run([*GIT, "stash", "pop", "-q"], check=True)
    assert training.run(["train_inter"]).returncode == 0
    assert MODEL.read_bytes() != undisturbed


def test_two_jobs_at_once_make_the_same_bytes(place: Place) -> None:
    place.forget()
    command = [sys.executable, "-m", "tests.places.short_run"]
    lists = (["preprocess@val"], ["train_inter", "score", "rank", "pseudo_label"])
    started = [subprocess.Popen([*command, *names], env=environment({})) for names in lists]
    assert [process.wait() for process in started] == [0, 0]
    assert made(place.folder) == place.expected
