"""Start Python processes that end with the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.definition import ROOT

Process = subprocess.Popen[str]
SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


@contextmanager
def begun(*arguments: str) -> Iterator[Process]:
    """Start `python ARGUMENTS` with pipes for its streams; kill it at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, *arguments], text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def ready(script: str) -> Iterator[Process]:
    """Start a process that has run `script` and now sleeps."""
    with begun("-c", f"{script}\n{SLEEP}") as process:
        assert said(process) == "ready"
        yield process


def said(process: Process) -> str:
    """Return the next line of stdout, or all of stderr if there is none."""
    assert process.stdout and process.stderr
    return process.stdout.readline().strip() or process.stderr.read()


def warned(process: Process) -> str:
    """Return the next line of stderr."""
    assert process.stderr
    return process.stderr.readline().strip()
