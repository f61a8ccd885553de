"""No target label is needed, a killed driver goes on by itself, and neither leaves a trace in a result.

test_wheel.py does the same by snakemake, to the report.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support import project as projects
from tests.support.project import DVC, Project
from tests.support.toy_copy import STEP_1, use_without_target_labels

pytestmark = pytest.mark.drivers


def test_without_target_labels_and_killed_midway_all_bytes_are_the_same(
    first: Project, tmp_path: Path
) -> None:
    """By dvc, to the end of the training that was killed."""
    project = projects.make(tmp_path / "checkout")
    use_without_target_labels(project, first, tmp_path)
    command = (*DVC, "repro", "train_inter")
    with projects.started(project, *command) as process:
        projects.wait_for(project, "runs/train_inter/*/checkpoint_*.pt")
        os.killpg(process.pid, signal.SIGKILL)
    project.run(*command)
    assert project.contents(*STEP_1) == first.contents(*STEP_1)
