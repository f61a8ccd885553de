"""A command ends with the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from intrada.core import atomic, children
from tests.support.definition import ROOT

# A command that starts another one, and writes the ids of both
COMMAND = "sleep 60 & echo $$ $! > ids.new; mv ids.new ids; wait"


def test_the_exit_status_and_the_output_are_those_of_the_command(tmp_path: Path) -> None:
    done = children.run(
        ["sh", "-c", "pwd; echo $WORD; echo error >&2; exit 3"], tmp_path, {"WORD": "a"}, True
    )
    assert done.returncode == 3 and done.stdout == f"{tmp_path}\na\nerror\n"
    assert children.run(["sh", "-c", "kill -9 $$"]).returncode == 128 + 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_command_and_its_children_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    code = f"from intrada.core import children; children.run(['sh', '-c', {COMMAND!r}])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as parent:
        _wait_until((tmp_path / "ids").exists)
        parent.send_signal(number)
    for process in map(int, (tmp_path / "ids").read_text().split()):
        _wait_until(lambda process=process: not atomic.alive(process))


def _wait_until(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_command_is_ended_at_its_limit() -> None:
    start = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        children.run(["sleep", "600"], limit=0.2)
    assert time.monotonic() - start < 300
