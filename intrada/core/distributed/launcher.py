"""Other processes of one stage: started from inside it, ended with it, whoever fails.

The process that was started by the user stays the one that hears signals, holds locks and reports; the
others ignore SIGINT and SIGTERM, end when it ends, and hand their result or their error back to it.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, util
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from intrada.core import signals
from intrada.core.errors import UserError
from intrada.core.signals import Stopped, StopRequest

Found = TypeVar("Found")
Item = TypeVar("Item")
POLL = 0.2  # seconds between two looks at signals
GRACE = 5.0  # seconds that the others have to end by themselves after one has failed
FAILED = 1


class Rank(NamedTuple):
    """A process's rank, 0..world_size-1, and the number of processes."""

    rank: int = 0
    world_size: int = 1


SINGLE_RANK = Rank()


class _Outcome(NamedTuple):
    """What a process ends with; at: nanoseconds since 1970."""

    at: int
    result: Any = None
    error: BaseException | None = None


class _Member(NamedTuple):
    """A process and the end of the pipe that its outcome comes from."""

    rank: Rank
    process: SpawnProcess
    reader: Connection


class Crew:
    """Processes at work. stop: shared with them, the number of a signal that has asked to stop, else 0."""

    def __init__(self, stop: Any) -> None:
        self.stop = stop
        self.members: list[_Member] = []
        self._outcomes: dict[Rank, _Outcome] = {}

    def check(self) -> None:
        """Raise what ended one of them, if one has failed."""
        if any(member.process.exitcode for member in self.members):
            self._raise()

    def results(self, request: StopRequest | None = None) -> list[Any]:
        """Wait for all of them; their results in the order of their parts.

        Raises what the first to fail has raised, and UserError for one that was killed. request: a signal
        that it notes is passed on, and the result is waited for all the same.
        """
        while running := [each for each in self.members if each.process.exitcode is None]:
            connection.wait([*(each.process.sentinel for each in running), *self._open()], POLL)
            self._read()
            if request is not None and request.number is not None:
                self.stop.value = request.number
            self.check()
        self._read()
        outcomes = [self._outcomes[member.rank] for member in self.members]
        for outcome in outcomes:
            if outcome.error:  # Stopped
                raise outcome.error
        return [outcome.result for outcome in outcomes]

    def _open(self) -> list[Connection]:
        return [each.reader for each in self.members if not each.reader.closed]

    def _read(self) -> None:
        """Take in the outcomes that are there; nobody ends before its own is taken if it is a large one."""
        for member in self.members:
            if not member.reader.closed and member.reader.poll():
                with member.reader, suppress(EOFError):  # killed
                    self._outcomes[member.rank] = member.reader.recv()

    def _raise(self) -> None:
        """The first error in time; what a killed process makes the others say is not the reason."""
        end = time.monotonic() + GRACE
        for member in self.members:
            member.process.join(max(0.0, end - time.monotonic()))
        self._read()
        for rank, process, _ in self.members:
            if process.exitcode and rank not in self._outcomes:
                raise _killed(rank, process.exitcode)
        in_time = sorted(self._outcomes.values(), key=lambda each: each.at)
        raise next(outcome.error for outcome in in_time if outcome.error)


@contextmanager
def started(ranks: Sequence[Rank], work: Callable[..., object], *arguments: object) -> Iterator[Crew]:
    """Processes that each do `work(part, stop, *arguments)`; those that still run at the end are killed.

    work: a function of a module; it, the arguments and the results are pickled. stop.value: the number of
    a signal that has asked to stop, else 0. The output of all parts but number 0 is thrown away.
    """
    context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
    crew = Crew(context.RawValue("i", 0))
    try:
        for rank in ranks:
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(writer, rank, crew.stop, work, arguments))
            process.start()
            writer.close()
            crew.members.append(_Member(rank, process, reader))
        yield crew
    finally:
        for member in crew.members:
            member.process.kill()
        for member in crew.members:
            member.process.join()
            member.reader.close()


def spread(
    count: int,
    own: Callable[[Rank, Callable[[], None]], Found],
    work: Callable[..., Found],
    *arguments: object,
) -> list[Found]:
    """What `count` processes find, each with its part, in the order of the parts.

    This process does `own(part, check)` with part 0, calling `check` now and then, which raises what
    another one has failed of. The others do `work(part, *arguments)` on the same terms as in `started`.
    """
    if count == 1:
        return [own(SINGLE_RANK, _nothing)]
    ranks = [Rank(number, count) for number in range(count)]
    with started(ranks[1:], _unstopped, work, arguments) as crew:
        return [own(ranks[0], crew.check), *crew.results()]


def _nothing() -> None:
    """There is no other process to look after."""


def _unstopped(rank: Rank, stop: Any, work: Callable[..., Found], arguments: Sequence[Any]) -> Found:
    """Who waits for such a process is stopped at once, and it is killed."""
    return work(rank, *arguments)


def in_turn(shares: Sequence[Sequence[Item]]) -> list[Item]:
    """Items that were dealt out one by one (`items[number::count]`), in their order again."""
    total = sum(map(len, shares))
    return [shares[place % len(shares)][place // len(shares)] for place in range(total)]


def _killed(rank: Rank, code: int) -> UserError:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return UserError(
        "compute.devices",
        f"process {rank.rank} of {rank.world_size} {how} and left no message",
        "processes that run to their end",
        "if memory was short, lower compute.devices or batch_size; the same command goes on "
        "from the last checkpoint if it is a training's",
    )


def _run(
    writer: Connection, rank: Rank, stop: Any, work: Callable[..., object], arguments: Sequence[Any]
) -> None:
    """The life of one process."""
    signals.ignore()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if rank.rank:
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # to the end
    status = 0
    try:
        outcome = _Outcome(0, work(rank, stop, *arguments))
    except Stopped as stopped:  # as it was asked to
        outcome = _Outcome(0, error=stopped)
    except BaseException as error:
        outcome, status = _Outcome(0, error=_portable(error)), FAILED
    writer.send(outcome._replace(at=time.time_ns()))
    sys.stdout.flush()
    sys.stderr.flush()
    # gives back semaphores (tqdm has some), or their tracker would complain
    util._exit_function()  # type: ignore[attr-defined]
    os._exit(status)  # what a normal end waits for may wait for a process that has failed


def _portable(error: BaseException) -> BaseException:
    """The error with its traceback as text; where it cannot be pickled, that text as a RuntimeError."""
    text = "".join(traceback.format_exception(error))
    if not isinstance(error, UserError):
        error.add_note(text)
    try:
        copy.copy(error)  # as unpickling does: an error's class may ask for more than it keeps
        pickle.dumps(error)
    except Exception:  # an error may hold anything
        return RuntimeError(text)
    return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(FAILED)
