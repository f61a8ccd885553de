"""Real processes that a stage starts, and every way in which they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intrada.core.distributed.launcher import SINGLE_RANK, Rank, _portable, in_turn, spread, started
from intrada.core.errors import UserError
from intrada.core.signals import Stopped, postponed
from tests.support import processes

TWO = [Rank(0, 2), Rank(1, 2)]


def squared(rank: Rank, stop: Any, number: int) -> int:
    return (rank.rank + number) ** 2


def failing(rank: Rank, stop: Any, error: BaseException | None) -> None:
    """The second fails; the first would sleep for an hour."""
    if rank.rank:
        if error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise error
    time.sleep(3600)


def asked(rank: Rank, stop: Any) -> None:
    while not stop.value:
        time.sleep(0.01)
    raise Stopped(stop.value, " after iteration 3", "the checkpoint is saved, ")


def large(rank: Rank, stop: Any) -> bytes:
    return bytes(5_000_000)  # more than a pipe holds


def doubled(rank: Rank, number: int) -> int:
    return 2 * (rank.rank + number)


def late(rank: Rank) -> None:
    raise UserError("images", "none", "some", "make some")


def test_results_come_in_the_order_of_the_parts() -> None:
    with started(TWO, squared, 3) as crew:
        assert crew.results() == [9, 16]


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
    with pytest.raises(expected, match=words) as caught, started(TWO, failing, error) as crew:
        crew.results()
    if expected is KeyError:
        assert "in failing" in caught.value.__notes__[0]  # where it was
    assert not multiprocessing.active_children()


def test_a_result_may_be_larger_than_a_pipe() -> None:
    with started(TWO, large) as crew:
        assert [len(each) for each in crew.results()] == [5_000_000] * 2


class ParticularError(Exception):
    """It cannot be made from what it keeps."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_travel_comes_as_its_text() -> None:
    found = _portable(ParticularError(1, 2))
    assert type(found) is RuntimeError and "ParticularError: 1 and 2" in str(found)


def test_a_signal_is_passed_on_and_its_answer_is_waited_for() -> None:
    with (
        pytest.raises(Stopped, match="^stopped after iteration 3 by SIGTERM; the") as caught,
        postponed() as request,
        started(TWO, asked) as crew,
    ):
        signal.raise_signal(signal.SIGTERM)
        crew.results(request)
    assert caught.value.code == 143 and not multiprocessing.active_children()


def test_this_process_works_beside_the_others() -> None:
    assert spread(3, lambda rank, check: 2 * rank.rank, doubled, 10) == [0, 22, 24]


def test_one_alone_starts_no_other() -> None:
    def own(rank: Rank, check: Callable[[], None]) -> Rank:
        check()
        assert not multiprocessing.active_children()
        return rank

    assert spread(1, own, late) == [SINGLE_RANK]


def test_an_error_elsewhere_is_met_at_the_next_check() -> None:
    def own(rank: Rank, check: Callable[[], None]) -> None:
        while True:
            check()
            time.sleep(0.01)

    with pytest.raises(UserError, match="make some"):
        spread(2, own, late)
    assert not multiprocessing.active_children()


def test_the_others_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = (
        "from intrada.core.distributed.launcher import Rank, started\nfrom tests.core.distributed.test_launcher import failing\n"
        "with started([Rank(0, 2)], failing, None) as crew:\n"
        "    print(crew.members[0].process.pid, flush=True)\n    crew.results()"
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
def test_what_was_dealt_out_is_put_together_in_order(count: int) -> None:
    items = list(range(7))
    assert in_turn([items[number::count] for number in range(count)]) == items
