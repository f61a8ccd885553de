"""Handling of SIGTERM and SIGINT (Ctrl-C).

A training finishes its iteration and writes a checkpoint; every other stage stops at once. Python delivers
signals to the main thread only, so in another thread these functions do nothing. A signal that was ignored at
the start (nohup, a background job of a script) stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import psutil

from intrada.core import resources
from intrada.core.errors import UserError
from intrada.core.plain_text import complain, complain_of_errors, show

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal has ended the run.

    code: the exit status that shells expect, 128 + the signal's number. when, saved: parts of the message.
    """

    def __init__(self, number: int, when: str = "", saved: str = "") -> None:
        self.code = 128 + number
        self._arguments = number, when, saved
        name = signal.Signals(number).name
        super().__init__(f"stopped{when} by {name}; {saved}run the same command again to continue")

    def __reduce__(self) -> tuple[type[Stopped], tuple[int, str, str]]:
        """Support pickling, which passes the exception to another process."""
        return type(self), self._arguments


class StopRequest:
    """Records a signal for later. number: the signal's number; None if there was none."""

    number: int | None = None

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """Record the first signal; raise Stopped for the second."""
        if self.number is not None:
            raise Stopped(number)
        self.number = number
        # not print: the signal may interrupt another print
        os.write(2, b"finishing this iteration; a second signal stops at once\n")

    def raise_if_stopped(self, iteration: int) -> None:
        """Raise Stopped if there was a signal. Call it when `iteration` iterations are done and saved."""
        if self.number is not None:
            raise Stopped(self.number, f" after iteration {iteration}", "the checkpoint is saved, ")


def exit_code(work: Callable[[], object]) -> int:
    """Run `work` and return the exit status of the program.

    0 on success; 1 after a UserError; 130 after SIGINT; 143 after SIGTERM; 141 if the reader of stdout has
    gone, as with `| head`. Errors are printed to stderr.
    """
    resources.open_standard_streams()
    show()
    complain_of_errors()
    try:
        with at_once(), resources.named():
            work()
            sys.stdout.flush()
    except UserError as error:
        complain(*f"error: {error}".splitlines())
        return 1
    except Stopped as stop:
        complain(stop)
        return stop.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes stdout once more at its end
        return 128 + signal.SIGPIPE
    return 0


@contextmanager
def at_once() -> Iterator[None]:
    """Raise Stopped at the first SIGINT or SIGTERM within the block."""
    with _handled(_stop):
        yield


@contextmanager
def left_to_children() -> Iterator[None]:
    """Within the block a SIGTERM raises Stopped, but does nothing while this process waits for a child.

    A cluster sends SIGTERM to all processes of a job and ends the job with its first process: if that went at
    once, the training would have no time for its checkpoint.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if not psutil.Process().children():
            raise Stopped(number)

    with _handled(handle, (signal.SIGTERM,)):
        yield


def ignore() -> None:
    """Ignore both signals from now on; the parent process handles them."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def postponed() -> Iterator[StopRequest]:
    """Record the first SIGINT or SIGTERM within the block instead of stopping.

    A signal that `raise_if_stopped` did not handle within the block raises Stopped at its end.
    """
    request = StopRequest()
    with _handled(request.note):
        yield request
    if request.number is not None:
        raise Stopped(request.number)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals] = SIGNALS
) -> Iterator[None]:
    """Install `handler` for the signals within the block; restore the previous handlers after it."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in numbers}
        before = {number: old for number, old in handlers.items() if old not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
