"""A real training process that receives real signals, and unit tests of the handlers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from intrada.core import files
from intrada.core.signals import SIGNALS, Stopped, StopRequest, at_once, postponed
from tests.support import tiny_project
from tests.support.definition import ROOT, jobs

RUNS, RESULTS = Path("runs/train_inter"), Path("results/train_inter")
EVERY, ITERATIONS = 4, 36


@pytest.fixture
def training(project: Path) -> list[str]:
    """The command of train_inter, with more iterations than run before the signals."""
    shutil.rmtree(RESULTS)
    params = tiny_project.tree()
    params["train_inter"] |= {"iterations": ITERATIONS, "max_iters": ITERATIONS, "snapshot_every": 15}
    params["train_inter"] |= {"checkpoint_every": EVERY, "checkpoints_kept": ITERATIONS}
    tiny_project.write_params(params)
    return [sys.executable, "-m", "intrada", *jobs(params)["train_inter"].argv]


def outputs() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in sorted(RESULTS.rglob("*")) if path.is_file()}


def checkpoints() -> list[int]:
    return [int(path.stem.removeprefix("checkpoint_")) for path in sorted(RUNS.glob("*/checkpoint_*.pt"))]


def stopped(command: list[str], number: signal.Signals) -> tuple[int, str]:
    """Start the command, send the signal after the first new checkpoint; return exit code and stderr."""
    before = checkpoints()
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        while checkpoints() == before and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate()
    return process.returncode, errors


@pytest.mark.slow
def test_a_training_stopped_by_signals_goes_on_to_the_same_bytes(training: list[str]) -> None:
    assert tiny_project.run("train_inter") == 0
    expected = outputs()
    assert len(expected) == 4
    shutil.rmtree(RUNS)
    shutil.rmtree(RESULTS)
    stops: list[int] = []
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        status, errors = stopped(training, number)
        assert status == code, errors
        assert "Traceback" not in errors
        line = f"stopped after iteration ([0-9]+) by {number.name}; the checkpoint is saved, run the same"
        match = re.fullmatch(rf"{line} command again to continue", errors.splitlines()[-1])
        assert match, errors
        stops.append(int(match[1]))
        # the regular checkpoints, and one for each stop
        assert checkpoints() == sorted({*range(EVERY, stops[-1] + 1, EVERY), *stops})
        assert not RESULTS.exists()
    assert EVERY <= stops[0] < stops[1] < ITERATIONS
    assert tiny_project.run("train_inter") == 0
    assert outputs() == expected
    assert not list(Path().rglob(".*.tmp*"))


def test_the_first_signal_is_recorded_and_raised_later() -> None:
    with (
        pytest.raises(Stopped, match="^stopped after iteration 3 by SIGTERM") as caught,
        postponed() as request,
    ):
        request.raise_if_stopped(1)
        signal.raise_signal(signal.SIGTERM)
        assert request.number == signal.SIGTERM
        request.raise_if_stopped(3)
    assert caught.value.code == 143


def test_a_second_signal_stops_at_once() -> None:
    with pytest.raises(Stopped, match="^stopped by SIGINT") as caught, postponed():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")
    assert caught.value.code == 130


def test_a_signal_that_was_not_handled_in_the_block_is_raised_at_its_end() -> None:
    reached = False
    with pytest.raises(Stopped, match="^stopped by SIGTERM"), postponed():
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached


def test_an_error_after_a_signal_is_the_error() -> None:
    with pytest.raises(KeyError), postponed():
        signal.raise_signal(signal.SIGTERM)
        raise KeyError


@pytest.mark.parametrize("block", [at_once, postponed])
def test_the_previous_handlers_are_restored(block: type) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with block():
        assert all(signal.getsignal(number) is not old for number, old in zip(SIGNALS, before, strict=True))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with at_once(), postponed() as request:
            signal.raise_signal(signal.SIGINT)
        assert request.number is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_signals_are_not_handled() -> None:
    requests: list[StopRequest] = []

    def work() -> None:
        with at_once(), postponed() as request:
            requests.append(request)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [request.number for request in requests] == [None]


@pytest.mark.parametrize("writer", [files.atomic_file, files.atomic_folder])
def test_a_signal_during_a_write_leaves_the_old_output_and_nothing_else(tmp_path: Path, writer: type) -> None:
    files.write_json(tmp_path / "out", {})
    with pytest.raises(Stopped), at_once(), writer(tmp_path / "out") as temporary:
        half = temporary / "half" if temporary.is_dir() else temporary
        half.write_text("half")
        signal.raise_signal(signal.SIGTERM)
    assert os.listdir(tmp_path) == ["out"] and (tmp_path / "out").read_text() == "{}\n"


PARENT = """
import subprocess, sys
from intrada.core import signals
with signals.left_to_children():
    done = subprocess.run(["sh", "-c", "trap 'sleep 0.3; echo saved; exit 3' TERM; echo ready; while :; do sleep 0.02; done"])
    print("the child ended with", done.returncode, flush=True)
    try:
        print("alone", flush=True)
        sys.stdin.read()
    except signals.Stopped as stop:
        print(stop.code)
"""


def test_a_process_waits_for_its_child_when_both_get_sigterm_and_stops_without_one() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, **pipes) as process:
        for words in (["ready"], ["saved", "the child ended with 3", "alone"]):
            assert [process.stdout.readline().strip() for _ in words] == words
            os.killpg(process.pid, signal.SIGTERM)
        assert process.communicate()[0].strip() == "143"
