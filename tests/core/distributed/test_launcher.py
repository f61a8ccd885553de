"""Real worker processes of a stage, and the ways in which they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intrada.core.distributed.launcher import (
    SINGLE_RANK,
    Rank,
    _portable,
    interleave,
    run_on_ranks,
    start_processes,
)
from intrada.core.errors import UserError
from intrada.core.signals import Stopped, postponed
from tests.support import processes

TWO = [Rank(0, 2), Rank(1, 2)]


def squared(rank: Rank, stop: Any, number: int) -> int:
    return (rank.rank + number) ** 2


def failing(rank: Rank, stop: Any, error: BaseException | None) -> None:
    """Fail with rank 1; sleep for an hour with rank 0."""
    if rank.rank:
        if error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise error
    time.sleep(3600)


def until_stopped(rank: Rank, stop: Any) -> None:
    while not stop.value:
        time.sleep(0.01)
    raise Stopped(stop.value, " after iteration 3", "the checkpoint is saved, ")


def large(rank: Rank, stop: Any) -> bytes:
    return bytes(5_000_000)  # more than a pipe holds


def doubled(rank: Rank, number: int) -> int:
    return 2 * (rank.rank + number)


def erring(rank: Rank) -> None:
    raise UserError("images", "none", "some", "make some")


def test_results_come_in_the_order_of_the_ranks() -> None:
    with start_processes(TWO, squared, 3) as workers:
        assert workers.results() == [9, 16]


@pytest.mark.parametrize(
    "error, expected, words",
    [
        (UserError("a.png", "broken", "a PNG", "fix it"), UserError, "^a.png: broken\n  allowed: a PNG\n"),
        (KeyError("no such"), KeyError, "no such"),
        (None, UserError, "process 1 of 2 was killed by SIGKILL and left no message"),
    ],
)
def test_the_error_of_one_ends_the_other_and_is_raised(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | None, expected: type[Exception], words: str
) -> None:
    monkeypatch.setattr("intrada.core.distributed.launcher.GRACE", 0.2)
    with pytest.raises(expected, match=words) as caught, start_processes(TWO, failing, error) as workers:
        workers.results()
    if expected is KeyError:
        assert "in failing" in caught.value.__notes__[0]  # the traceback
    assert not multiprocessing.active_children()


def test_a_result_may_be_larger_than_a_pipe() -> None:
    with start_processes(TWO, large) as workers:
        assert [len(result) for result in workers.results()] == [5_000_000] * 2


class ParticularError(Exception):
    """It cannot be unpickled, because its `args` are not the arguments of __init__."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def test_an_error_that_cannot_be_pickled_becomes_a_runtime_error_of_its_text() -> None:
    error = _portable(ParticularError(1, 2))
    assert type(error) is RuntimeError and "ParticularError: 1 and 2" in str(error)


def test_a_signal_is_passed_on_and_the_results_are_waited_for() -> None:
    with (
        pytest.raises(Stopped, match="^stopped after iteration 3 by SIGTERM; the") as caught,
        postponed() as request,
        start_processes(TWO, until_stopped) as workers,
    ):
        signal.raise_signal(signal.SIGTERM)
        workers.results(request)
    assert caught.value.code == 143 and not multiprocessing.active_children()


def test_this_process_works_as_rank_0() -> None:
    assert run_on_ranks(3, lambda rank, check: 2 * rank.rank, doubled, 10) == [0, 22, 24]


def test_a_single_rank_starts_no_process() -> None:
    def own(rank: Rank, check: Callable[[], None]) -> Rank:
        check()
        assert not multiprocessing.active_children()
        return rank

    assert run_on_ranks(1, own, erring) == [SINGLE_RANK]


def test_an_error_of_another_process_is_raised_at_the_next_check() -> None:
    def own(rank: Rank, check: Callable[[], None]) -> None:
        while True:
            check()
            time.sleep(0.01)

    with pytest.raises(UserError, match="make some"):
        run_on_ranks(2, own, erring)
    assert not multiprocessing.active_children()


def test_the_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = (
        "from intrada.core.distributed.launcher import Rank, start_processes\nfrom tests.core.distributed.test_launcher import failing\n"
        "with start_processes([Rank(0, 2)], failing, None) as workers:\n"
        "    print(workers.workers[0].process.pid, flush=True)\n    workers.results()"
    )
    program = tmp_path / "program.py"
    program.write_text(f"if __name__ == '__main__':\n    {script.replace(chr(10), chr(10) + '    ')}\n")
    with processes.begun(str(program)) as process:
        child = int(processes.said(process))
        process.kill()
        process.wait()
        end = time.monotonic() + 30
        while time.monotonic() < end and Path(f"/proc/{child}").exists():
            time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_interleave_restores_the_order(count: int) -> None:
    items = list(range(7))
    assert interleave([items[number::count] for number in range(count)]) == items
