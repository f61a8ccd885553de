"""SIGTERM and Ctrl-C: a training finishes its iteration and its checkpoint, all else stops at once.

Python hands signals to the main thread; used in another one, nothing here does anything. A signal that
was ignored at the start (nohup, a job in the background of a script) stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from intrada.core.errors import UserError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal has ended the run. code: the exit status that shells expect, 128 and the signal's number."""

    def __init__(self, number: int, when: str = "", kept: str = "") -> None:
        self.code = 128 + number
        self._made_of = number, when, kept
        name = signal.Signals(number).name
        super().__init__(f"stopped{when} by {name}; {kept}start the same command again to go on")

    def __reduce__(self) -> tuple[type[Stopped], tuple[int, str, str]]:
        """So that it can pass from one process to another."""
        return type(self), self._made_of


class Request:
    """Whether a signal has asked to stop. number: the signal's, None until then."""

    number: int | None = None

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """Remember the first signal; Stopped at once by a second."""
        if self.number is not None:
            raise Stopped(number)
        self.number = number
        # not print: the signal may have come in the middle of one
        os.write(2, b"finishing this iteration; once more stops at once\n")

    def obey(self, iteration: int) -> None:
        """Stopped if there was a signal; to be called when `done` iterations are complete and saved."""
        if self.number is not None:
            raise Stopped(self.number, f" after iteration {iteration}", "the checkpoint is kept, ")


def exit_code(work: Callable[[], object]) -> int:
    """Do `work` as a program does: 0 when it went well, 1 with a UserError's message on stderr.

    Stopped by a signal: 130 (SIGINT) or 143 (SIGTERM), with a message too.
    """
    try:
        with at_once():
            work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return stop.code
    return 0


@contextmanager
def at_once() -> Iterator[None]:
    """Within the block, the first SIGINT or SIGTERM raises Stopped wherever the code is."""
    with _handled(_stop):
        yield


def ignored() -> None:
    """From now on both signals do nothing: the process that started this one hears them, and decides."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def postponed() -> Iterator[Request]:
    """Within the block, the first SIGINT or SIGTERM is only noted; one that nobody obeyed counts after it."""
    request = Request()
    with _handled(request.note):
        yield request
    if request.number is not None:
        raise Stopped(request.number)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Both signals go to `handler` within the block, and to whom they went before after it."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: old for number, old in found.items() if old not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
