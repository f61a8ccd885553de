"""What the machine lacks, as UserErrors: memory, open files, room on the standard streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EAGAIN, EMFILE, ENFILE, ENOMEM
from pathlib import Path

from intrada.core.atomic import UNWRITABLE, unwritable
from intrada.core.errors import UserError

# how the loader of libraries, NumPy, OpenCV and torch report that memory is exhausted
_MEMORY = ("failed to map segment", "annot allocate memory", "an't allocate memory", "out of memory")
_MAX_FOUND = 200  # characters of an error in a message


@contextmanager
def named() -> Iterator[None]:
    """Turn the errors of a block that lacks memory, open files or space on the disk into UserErrors."""
    try:
        yield
    except OSError as error:
        if error.errno == ENOMEM or _is_memory(error):
            raise _no_memory(error) from error
        if error.errno in UNWRITABLE:  # outside of `writing`
            raise unwritable(error.filename or "a file or the standard output", error) from error
        if error.errno not in (EMFILE, ENFILE, EAGAIN):
            raise
        raise UserError(
            error.filename or "this process",
            f"the system refuses it ({error.strerror})",
            "a few hundred open files, and a few processes",
            "raise the limits (ulimit -n 1024; ulimit -u), then run the same command again",
        ) from error
    except (ImportError, MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _is_memory(error):
            raise
        raise _no_memory(error) from error


def _is_memory(error: BaseException) -> bool:
    return any(part in str(error) for part in _MEMORY)


def _no_memory(error: BaseException) -> UserError:
    text = " ".join(str(error).split())
    return UserError(
        "memory",
        f"exhausted ({text[:_MAX_FOUND] or type(error).__name__})",
        "the memory of the network and of one batch, of the GPU or of this process (ulimit -v)",
        "end other programs, or lower `size`, `batch_size` or `compute.devices`, or raise"
        " `gradient_accumulation_steps`; run the same command again: a training continues from a checkpoint",
    )


def open_standard_streams() -> None:
    """Connect those of stdin, stdout and stderr that are closed to /dev/null.

    Otherwise the next file that is opened gets the number of the closed stream, and what a library prints to
    the stream is written into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:  # so Python sets it if the stream was closed at the start
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # open to the end
