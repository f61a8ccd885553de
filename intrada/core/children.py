"""Commands that end with the process that started them, also when it is killed by SIGKILL.

`run` starts this module as a guardian in a process group of its own. The guardian starts the command in that
group and reads a pipe whose other end only the parent has open. If the parent ends, the kernel closes the
pipe, and the guardian ends the group: the command, and what the command has started in the same group.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE = 5.0  # seconds between SIGTERM and SIGKILL


def run(
    command: Sequence[str],
    folder: Path = Path(),
    env: Mapping[str, str] | None = None,
    capture: bool = False,
    limit: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` and wait for it; it ends at the latest with this process.

    env: its environment, default: this process's. capture: keep its stdout and stderr, both in `stdout`.
    limit: seconds after which the command is ended, with subprocess.TimeoutExpired; None: it has no limit.
    """
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(reader), *command], cwd=folder, env=env, pass_fds=[reader],
        start_new_session=True, text=True, stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
    )  # fmt: skip
    os.close(reader)
    with process:
        try:
            output, _ = process.communicate(timeout=limit)
        finally:
            os.close(writer)  # after an exception, such as KeyboardInterrupt, the guardian ends the group
    return subprocess.CompletedProcess(list(command), process.returncode, output)


def main(arguments: Sequence[str]) -> int:
    """Run the guardian and return the exit status. arguments: the descriptor of the pipe, and the command."""
    reader, *command = arguments
    signal.signal(signal.SIGTERM, lambda *_: None)  # it ends after its group; the command gets the default
    with subprocess.Popen(command) as process:
        threading.Thread(target=_end_with, args=(int(reader),), daemon=True).start()
        status = process.wait()
    return status if status >= 0 else 128 - status


def _end_with(reader: int) -> None:
    """End this process group when the other end of the pipe is closed."""
    select.select([reader], [], [])
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
