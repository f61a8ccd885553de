"""Ctrl-C in the terminal of a driver, and SIGTERM to all its processes: the stage and the driver both fail."""

from __future__ import annotations

import os
import signal

import pytest

from intrada.core.config import plain_yaml
from tests.support import project as projects
from tests.support.project import DVC, DVC_AFTER_KILL, SNAKEMAKE, Project

pytestmark = pytest.mark.drivers


def recorded(project: Project) -> object:
    """What DVC knows of train_inter."""
    return plain_yaml.parse((project.folder / "dvc.lock").read_text())["stages"]["train_inter"]


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (DVC + ("repro",), signal.SIGINT),
        (SNAKEMAKE, signal.SIGTERM),
        (DVC_AFTER_KILL + ("repro",), signal.SIGTERM),
    ],
    ids=["dvc-SIGINT", "snakemake-SIGTERM", "dvc_command-SIGTERM"],
)
def test_a_signal_stops_the_training_with_a_checkpoint_and_the_driver_with_a_failure(
    project: Project, command: tuple[str, ...], number: signal.Signals
) -> None:
    before = recorded(project)
    # a number of its own: no run of another case has left checkpoints that it could go on from
    iterations = 400 + number + 10 * len(command)
    project.set_params(train_inter__iterations=iterations, train_inter__max_iters=iterations)
    with projects.started(project, *command) as process:
        projects.wait_for(project, "runs/train_inter/*/checkpoint_*.pt")
        os.killpg(process.pid, number)
        output, _ = process.communicate()  # returns when the last of them has closed it
    log = project.folder / "logs/train_inter.log"
    said = output + (log.read_text() if command == SNAKEMAKE else "")
    assert f"by {number.name}; the checkpoint is saved, run the same command again to continue" in said
    assert process.returncode > 0, f"the driver did not wait for the training:\n{output}"
    assert (project.executed()[-1]["stage"], project.executed()[-1]["outcome"]) == ("train_inter", "failed")
    assert "results/train_inter/losses.csv" not in project.contents("results/train_inter")
    assert recorded(project) == before
