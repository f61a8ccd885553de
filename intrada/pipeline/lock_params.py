"""Compare the params in dvc.lock with those of the runs that wrote the present artifacts.

DVC reads params.yaml again after the command of a stage. The stage compares the values when it ends, so an
edit between the two is recorded in dvc.lock as what made the outputs. With large data these are some seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline.records import Record

LOCK = Path("dvc.lock")


def read(lock: Path = LOCK) -> dict[str, dict[str, Any]]:
    """Return job -> dotted key -> value of a dvc.lock; {} if the file is missing or not readable."""
    with suppress(UserError, ValueError, OSError, LookupError, TypeError, AttributeError):
        stages: Any = plain_yaml.read(lock)
        return {
            name: {**stage["params"]["params.yaml"]}
            for name, stage in stages["stages"].items()
            if "params" in stage
        }
    return {}


def differences(made: Record, records: Sequence[Record], lock: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each key whose value in dvc.lock no run with the same outputs has used.

    made: the record of the run that wrote the present outputs of its job; lock: from `read`.
    """
    runs = [record.params for record in records if (record.job, record.outputs) == (made.job, made.outputs)]
    for key, value in lock.get(made.job, {}).items():
        if all(run.get(key) != value for run in runs):
            where = next(_differing(key, value, made.params.get(key)), key)
            yield (
                f"{LOCK} has other values of {where} than the run of {made.job}: params.yaml was edited "
                "while DVC recorded the run, or the run was elsewhere; "
                f"`dvc repro -f -s {made.job}` uses the present values"
            )


def _differing(key: str, a: Any, b: Any) -> Iterator[str]:
    """Yield the dotted keys of the values that differ."""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
        for name in a:
            yield from _differing(f"{key}.{name}", a[name], b[name])
    elif a != b:
        yield key
