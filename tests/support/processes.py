"""Python programs as processes of their own, which do not outlive the test."""

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
    """`python ARGUMENTS` in the working directory, killed at the end of the block; its streams are pipes."""
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
    """A process that has run `script`, and now sleeps until it is killed."""
    with begun("-c", f"{script}\n{SLEEP}") as process:
        assert said(process) == "ready"
        yield process


def said(process: Process) -> str:
    """The next line of stdout; with stderr's text if there is none."""
    assert process.stdout and process.stderr
    return process.stdout.readline().strip() or process.stderr.read()


def warned(process: Process) -> str:
    """The next line of stderr."""
    assert process.stderr
    return process.stderr.readline().strip()
