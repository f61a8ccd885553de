"""Two processes that train the same job at once: the second leaves the first's run alone."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.definition import jobs
from tests.support.tiny_project import change, tree, write_params


def contents() -> dict[Path, bytes]:
    tops = (Path("runs"), Path("results"))
    return {path: path.read_bytes() for top in tops for path in top.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_second_training_names_the_first_and_goes_on_from_it_when_it_is_dead(project: Path) -> None:
    params = change(tree(), train_source__iterations=40, train_source__max_iters=40)
    change(params, train_source__checkpoint_every=5, train_source__snapshot_every=40)
    write_params(params)
    command = ("-m", "intrada", *jobs(params)["train_source"].argv)
    with processes.begun(*command) as first:
        while not list(Path("runs").rglob("checkpoint_*.pt")):
            assert first.poll() is None, processes.said(first)
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        time.sleep(0.1)  # until it has stopped
        before = contents()
        with processes.begun(*command) as second:
            message = processes.warned(second)
            assert second.wait() == 1
        assert f"run.lock: process {first.pid} on " in message
        assert "(intrada train_source " in message and message.endswith(" holds this run")
        assert contents() == before
    with processes.begun(*command) as third:  # the first was killed
        assert processes.warned(third).startswith("resuming from runs/train_source/")
        assert third.wait() == 0
    assert Path("results/train_source/last.safetensors").read_bytes() not in before.values()
