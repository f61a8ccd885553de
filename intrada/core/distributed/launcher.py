"""Worker processes of a stage. All of them end when any of them, or the parent, fails.

The parent is the process that the user started. It handles signals, holds the locks and prints. The workers
ignore SIGINT and SIGTERM, end when the parent ends, and send their result or error to it.
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

from intrada.core import plain_text, signals
from intrada.core.errors import UserError
from intrada.core.signals import Stopped, StopRequest

Result = TypeVar("Result")
Item = TypeVar("Item")
POLL = 0.2  # seconds between two checks for signals
GRACE = 5.0  # seconds to wait for the end of the other workers after one has failed
FAILED = 1


class Rank(NamedTuple):
    """A process's rank, 0..world_size-1, and the number of processes."""

    rank: int = 0
    world_size: int = 1


SINGLE_RANK = Rank()


class _Outcome(NamedTuple):
    """The result or error of a worker. time_ns: of its end, nanoseconds since 1970."""

    time_ns: int
    result: Any = None
    error: BaseException | None = None


class _Worker(NamedTuple):
    """A worker process, and the end of the pipe from which its outcome is read."""

    rank: Rank
    process: SpawnProcess
    reader: Connection


class Workers:
    """Running worker processes. stop: shared value, the number of the signal that requests a stop, else 0."""

    def __init__(self, stop: Any) -> None:
        self.stop = stop
        self.workers: list[_Worker] = []
        self._outcomes: dict[Rank, _Outcome] = {}

    def check(self) -> None:
        """Raise the error of a worker that has failed, if any."""
        if any(worker.process.exitcode for worker in self.workers):
            self._raise()

    def results(self, request: StopRequest | None = None) -> list[Any]:
        """Wait for all workers and return their results, in the order of their ranks.

        Raises the error of the first worker that failed; UserError if one was killed. request: a signal
        recorded there is passed on to the workers, whose results are still waited for.
        """
        while running := [worker for worker in self.workers if worker.process.exitcode is None]:
            connection.wait([*(worker.process.sentinel for worker in running), *self._open()], POLL)
            self._read()
            if request is not None and request.number is not None:
                self.stop.value = request.number
            self.check()
        self._read()
        outcomes = [self._outcomes[worker.rank] for worker in self.workers]
        for outcome in outcomes:
            if outcome.error:  # Stopped
                raise outcome.error
        return [outcome.result for outcome in outcomes]

    def _open(self) -> list[Connection]:
        return [worker.reader for worker in self.workers if not worker.reader.closed]

    def _read(self) -> None:
        """Receive the outcomes that have been sent. A worker with a large one blocks until it is received."""
        for worker in self.workers:
            if not worker.reader.closed and worker.reader.poll():
                with worker.reader, suppress(EOFError):  # killed
                    self._outcomes[worker.rank] = worker.reader.recv()

    def _raise(self) -> None:
        """Raise the first error in time; UserError if a worker was killed, which makes the others fail."""
        end = time.monotonic() + GRACE
        for worker in self.workers:
            worker.process.join(max(0.0, end - time.monotonic()))
        self._read()
        for rank, process, _ in self.workers:
            if process.exitcode and rank not in self._outcomes:
                raise _killed(rank, process.exitcode)
        in_time = sorted(self._outcomes.values(), key=lambda outcome: outcome.time_ns)
        raise next(outcome.error for outcome in in_time if outcome.error)


@contextmanager
def start_processes(
    ranks: Sequence[Rank], work: Callable[..., object], *arguments: object
) -> Iterator[Workers]:
    """Start one process for each rank, which calls `work(rank, stop, *arguments)`; kill them after the block.

    work: a module-level function; it, the arguments and the results are pickled. stop.value: the number of
    the signal that requests a stop, else 0. The output of all ranks but 0 is discarded.
    """
    context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
    group = Workers(context.RawValue("i", 0))
    try:
        for rank in ranks:
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_run, args=(writer, rank, group.stop, plain_text.shown(), work, arguments)
            )
            process.start()
            writer.close()
            group.workers.append(_Worker(rank, process, reader))
        yield group
    finally:
        for worker in group.workers:
            worker.process.kill()
        for worker in group.workers:
            worker.process.join()
            worker.reader.close()


def run_on_ranks(
    count: int,
    work_here: Callable[[Rank, Callable[[], None]], Result],
    work: Callable[..., Result],
    *arguments: object,
) -> list[Result]:
    """Run `count` processes, this one included, and return their results in the order of their ranks.

    This process has rank 0 and calls `work_here(rank, check)`. It should call `check` regularly, which raises
    the error of another process. The others call `work(rank, *arguments)`, pickled as in `start_processes`.
    """
    if count == 1:
        return [work_here(SINGLE_RANK, _no_check)]
    ranks = [Rank(number, count) for number in range(count)]
    with start_processes(ranks[1:], _without_stop, work, arguments) as workers:
        return [work_here(ranks[0], workers.check), *workers.results()]


def _no_check() -> None:
    """Do nothing, because there is no other process to check."""


def _without_stop(rank: Rank, stop: Any, work: Callable[..., Result], arguments: Sequence[Any]) -> Result:
    """Ignore `stop`: a signal stops the parent at once, which kills this process."""
    return work(rank, *arguments)


def interleave(parts: Sequence[Sequence[Item]]) -> list[Item]:
    """Return the items of parts `items[rank::world_size]` in their original order."""
    total = sum(map(len, parts))
    return [parts[index % len(parts)][index // len(parts)] for index in range(total)]


def _killed(rank: Rank, code: int) -> UserError:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return UserError(
        "compute.devices",
        f"process {rank.rank} of {rank.world_size} {how} and left no message",
        "processes that end without an error",
        "if memory was short, lower compute.devices or batch_size; run the same command again: a training "
        "continues from its last checkpoint",
    )


def _run(
    writer: Connection,
    rank: Rank,
    stop: Any,
    level: int,
    work: Callable[..., object],
    arguments: Sequence[Any],
) -> None:
    """Run one worker process and send its outcome to the parent. level: of the messages that it shows."""
    plain_text.show(level)
    signals.ignore()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if rank.rank:
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open until the process ends
    status = 0
    try:
        outcome = _Outcome(0, work(rank, stop, *arguments))
    except Stopped as stopped:  # as requested, so the exit status is 0
        outcome = _Outcome(0, error=stopped)
    except BaseException as error:
        outcome, status = _Outcome(0, error=_portable(error)), FAILED
    writer.send(outcome._replace(time_ns=time.time_ns()))
    sys.stdout.flush()
    sys.stderr.flush()
    # releases semaphores (tqdm has some); else multiprocessing's resource tracker warns
    util._exit_function()  # type: ignore[attr-defined]
    os._exit(status)  # a normal exit may wait for a process that has failed


def _portable(error: BaseException) -> BaseException:
    """Return the error with its traceback as a note; if it cannot be pickled, a RuntimeError of that text."""
    text = "".join(traceback.format_exception(error))
    if not isinstance(error, UserError):
        error.add_note(text)
    try:
        copy.copy(error)  # fails as unpickling does if __init__ has other arguments than `args`
        pickle.dumps(error)
    except Exception:  # pickling an unknown error can raise anything
        return RuntimeError(text)
    return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(FAILED)
