"""Other processes of one stage: started from inside it, ended with it, whoever fails.

The process that was started by the user stays the one that hears signals, holds locks and reports; the
others ignore SIGINT and SIGTERM, end when it ends, and hand their result or their error back to it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from intrada import interruption
from intrada.errors import UserError
from intrada.interruption import Request, Stopped

Found = TypeVar("Found")
Item = TypeVar("Item")
POLL = 0.2  # seconds between two looks at signals
GRACE = 5.0  # seconds that the others have to end by themselves after one has failed
FAILED = 1


class Part(NamedTuple):
    """Which of `total` processes one is: number 0..total-1."""

    number: int = 0
    total: int = 1


WHOLE = Part()


class _Outcome(NamedTuple):
    """What a process ends with; at: nanoseconds since 1970."""

    at: int
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Crew:
    """Processes at work. stop: shared with them, the number of a signal that has asked to stop, else 0."""

    members: Sequence[tuple[Part, SpawnProcess]]
    folder: Path
    stop: Any

    def check(self) -> None:
        """Raise what ended one of them, if one has failed."""
        if any(process.exitcode for _, process in self.members):
            self._raise()

    def results(self, request: Request | None = None) -> list[Any]:
        """Wait for all of them; their results in the order of their parts.

        Raises what the first to fail has raised, and UserError for one that was killed. request: a signal
        that it notes is passed on, and the result is waited for all the same.
        """
        while any(process.exitcode is None for _, process in self.members):
            connection.wait([each.sentinel for _, each in self.members if each.exitcode is None], POLL)
            if request is not None and request.number is not None:
                self.stop.value = request.number
            self.check()
        outcomes = [self._outcome(part) for part, _ in self.members]
        for outcome in outcomes:
            if outcome is not None and outcome.error:  # Stopped
                raise outcome.error
        return [outcome.result for outcome in outcomes if outcome is not None]

    def _raise(self) -> None:
        """The first error in time; what a killed process makes the others say is not the reason."""
        end = time.monotonic() + GRACE
        for _, process in self.members:
            process.join(max(0.0, end - time.monotonic()))
        for part, process in self.members:
            if process.exitcode and (process.exitcode < 0 or self._outcome(part) is None):
                raise _killed(part, process.exitcode)
        outcomes = [outcome for part, _ in self.members if (outcome := self._outcome(part))]
        raise next(outcome.error for outcome in sorted(outcomes, key=lambda each: each.at) if outcome.error)

    def _outcome(self, part: Part) -> _Outcome | None:
        try:
            outcome: _Outcome = pickle.loads((self.folder / str(part.number)).read_bytes())
        except FileNotFoundError:
            return None
        return outcome


@contextmanager
def started(parts: Sequence[Part], work: Callable[..., object], *arguments: object) -> Iterator[Crew]:
    """Processes that each do `work(part, stop, *arguments)`; those that still run at the end are killed.

    work: a function of a module; it, the arguments and the results are pickled. stop.value: the number of
    a signal that has asked to stop, else 0. The output of all parts but number 0 is thrown away.
    """
    context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
    stop = context.RawValue("i", 0)
    with tempfile.TemporaryDirectory(prefix="intrada-") as name:
        folder, members = Path(name), []
        try:
            for part in parts:
                process = context.Process(target=_run, args=(folder, part, stop, work, arguments))
                process.start()
                members.append((part, process))
            yield Crew(members, folder, stop)
        finally:
            for _, process in members:
                process.kill()
            for _, process in members:
                process.join()


def spread(
    count: int,
    own: Callable[[Part, Callable[[], None]], Found],
    work: Callable[..., Found],
    *arguments: object,
) -> list[Found]:
    """What `count` processes find, each with its part, in the order of the parts.

    This process does `own(part, check)` with part 0, calling `check` now and then, which raises what
    another one has failed of. The others do `work(part, *arguments)` on the same terms as in `started`.
    """
    if count == 1:
        return [own(WHOLE, _nothing)]
    parts = [Part(number, count) for number in range(count)]
    with started(parts[1:], _unstopped, work, arguments) as crew:
        return [own(parts[0], crew.check), *crew.results()]


def _nothing() -> None:
    """There is no other process to look after."""


def _unstopped(part: Part, stop: Any, work: Callable[..., Found], arguments: Sequence[Any]) -> Found:
    """Who waits for such a process is stopped at once, and it is killed."""
    return work(part, *arguments)


def in_turn(shares: Sequence[Sequence[Item]]) -> list[Item]:
    """Items that were dealt out one by one (`items[number::count]`), in their order again."""
    total = sum(map(len, shares))
    return [shares[place % len(shares)][place // len(shares)] for place in range(total)]


def _killed(part: Part, code: int) -> UserError:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return UserError(
        "compute.devices",
        f"process {part.number} of {part.total} {how} and left no message",
        "processes that run to their end",
        "if memory was short, lower compute.devices or batch_size; the same command goes on "
        "from the last checkpoint if it is a training's",
    )


def _run(folder: Path, part: Part, stop: Any, work: Callable[..., object], arguments: Sequence[Any]) -> None:
    """The life of one process."""
    interruption.ignored()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if part.number:
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # to the end
    try:
        outcome = _Outcome(0, work(part, stop, *arguments))
    except Stopped as stopped:  # as it was asked to
        outcome = _Outcome(0, error=stopped)
    except BaseException as error:
        _leave(folder, part, _Outcome(0, error=_portable(error)))
        os._exit(FAILED)  # whatever would have to be waited for at the end, the others have to end, too
    _leave(folder, part, outcome)


def _leave(folder: Path, part: Part, outcome: _Outcome) -> None:
    whole = folder / f"{part.number}.part"
    whole.write_bytes(pickle.dumps(outcome._replace(at=time.time_ns())))
    whole.rename(folder / str(part.number))


def _portable(error: BaseException) -> BaseException:
    """The error with its traceback as text; where it cannot be pickled, that text as a RuntimeError."""
    text = "".join(traceback.format_exception(error))
    if not isinstance(error, UserError):
        error.add_note(text)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error may hold anything
        return RuntimeError(text)
    return error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(FAILED)
