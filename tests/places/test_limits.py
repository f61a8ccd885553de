"""Limits of the system, and streams that are closed: the same bytes, or one message that names the cause."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.places.conftest import INFERENCE, TABLES, TRAINING, Place, environment
from tests.support import tiny_project

pytestmark = pytest.mark.slow


def test_few_open_files_a_small_stack_and_a_low_priority_change_no_byte(place: Place) -> None:
    place.run(TRAINING, before="ulimit -n 64; ulimit -c 0 -s 1024; renice -n 19 $$ >/dev/null")
    place.same_bytes()


def test_a_limit_of_the_size_of_a_file_is_named(place: Place) -> None:
    before = (place.folder / "results/rank/split.csv").read_bytes()
    place.run(["train_inter"], before="ulimit -f 4")
    place.refused("cannot be written (File too large)")
    assert (place.folder / "results/rank/split.csv").read_bytes() == before
    place.run(["train_inter"])
    place.same_bytes()


def test_a_limit_of_the_memory_is_named(place: Place) -> None:
    """Torch alone needs more address space than these 600 MB."""
    place.run(["score"], before="ulimit -v 600000")
    place.refused("memory")
    place.run(["score"])
    place.same_bytes()


@pytest.mark.parametrize(
    ("jobs", "closed"), [(TABLES, "<&-"), (TABLES, ">&-"), (TABLES, "2>&-"), (INFERENCE, "<&- >&- 2>&-")]
)
def test_closed_streams_change_no_byte(place: Place, jobs: Sequence[str], closed: str) -> None:
    place.run(jobs, before=f"exec {closed}")
    place.same_bytes()


@pytest.mark.parametrize("words", [["--help"], ["verify", "results"]])
def test_a_reader_that_closes_the_pipe_sees_no_traceback(place: Place, words: list[str]) -> None:
    """As with `| head -1`: the reader has gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    done = intrada(place, words, writer)
    os.close(writer)
    assert done.stderr == ""


def test_a_text_that_cannot_be_written_to_the_standard_output_is_an_error(place: Place) -> None:
    with Path("/dev/full").open("w") as full:
        done = intrada(place, ["verify", "results"], full.fileno())
    assert done.returncode == 1
    assert "error: a file or the standard output: cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


def intrada(place: Place, words: list[str], stdout: int) -> subprocess.CompletedProcess[str]:
    """Run a command of the package with another standard output."""
    command = [sys.executable, "-m", "intrada", *words]
    return subprocess.run(
        command, cwd=place.folder, env=environment({}), text=True, stdout=stdout, stderr=subprocess.PIPE
    )


def test_on_a_narrow_terminal_no_byte_changes_and_the_bar_is_shown(place: Place) -> None:
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
    place.forget(INFERENCE)
    command = [sys.executable, "-m", "tests.places.short_run", *INFERENCE]
    with subprocess.Popen(
        command, cwd=place.folder, env=environment({}), stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b"".join(iter(lambda: _read(main), b"")).decode()
    os.close(main)
    place.result = subprocess.CompletedProcess(command, process.returncode, "", shown)
    place.same_bytes()
    assert "score: 100%" in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the last process that had it open has ended
        return b""


def test_two_processes_work_without_shared_memory(place: Place) -> None:
    """In a mount namespace of its own a disk of 4 kB replaces the shared memory."""
    tiny_project.write_params(tiny_project.change(tiny_project.tree(), compute__devices=2))
    command = "mount -t tmpfs -o size=4k,mode=000 none /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True).returncode:
        pytest.skip("no mount namespace; to run: as root, in a container with CAP_SYS_ADMIN")
    place.run(["score"], before=f"""exec unshare -m bash -c '{command} && exec "$@"' bash "$@" """)
    place.same_bytes()
