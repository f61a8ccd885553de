"""The execution log: one line of JSON for each run of a stage in this checkout, also for a failed one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from intrada.core import atomic
from intrada.core.plain_text import logger
from intrada.pipeline import workload

LOG = Path("logs/execution.jsonl")
log = logger(__name__)


@contextmanager
def logged(name: str, fingerprint: str, work: workload.Work, outputs: Sequence[Path]) -> Iterator[None]:
    """Append one line at the end of the block, also after an error.

    name: of the job; fingerprint: of its params, inputs and code; work: how much it has to do.
    """
    line = {
        "stage": name, "start": _now(), "fingerprint": fingerprint, "outcome": "failed",
        "work": asdict(work), "outputs": [path.as_posix() for path in outputs],
    }  # fmt: skip
    start = time.monotonic()
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the error of a full disk is already being raised
            _append(line)
        raise
    with atomic.writing(LOG):
        _append({**line, "outcome": "done"})
    log.debug(f"{name}: done in {time.monotonic() - start:.1f} s")


def has_output(path: Path) -> bool:
    """Return whether a run, also a failed one, had this output."""
    try:
        lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(path.absolute() in _outputs(line) for line in lines)


def _outputs(line: str) -> set[Path]:
    """Return the absolute paths of the outputs in a line; none for a line that a crash cut off."""
    with suppress(ValueError, KeyError, TypeError):
        return {Path(name).absolute() for name in json.loads(line)["outputs"]}
    return set()


def _append(line: Mapping[str, Any]) -> None:
    LOG.parent.mkdir(parents=True, exist_ok=True)
    # unbuffered, so one write to a file opened for appending: lines of parallel jobs do not mix
    with LOG.open("ab", buffering=0) as file:
        file.write((json.dumps({**line, "end": _now()}) + "\n").encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
