"""Environment variables, locales, clocks and Python's options: none of them changes a byte."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from intrada.pipeline import records
from tests.places.conftest import INFERENCE, TABLES, TRAINING, Place

pytestmark = pytest.mark.slow

# A program that runs the jobs with a clock that is off by `argv[1]` seconds
CLOCK = """
import datetime, sys, time
from intrada.pipeline import provenance, stage_runner
from tests.places import short_run
shift, now = float(sys.argv[1]), time.time
time.time, time.time_ns = lambda: now() + shift, lambda: int((now() + shift) * 1e9)
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
provenance.datetime = stage_runner.datetime = Shifted
sys.exit(short_run.main(sys.argv[2:]))
"""
VARIABLES: dict[str, tuple[Sequence[str], Mapping[str, str | None]]] = {
    "HOME is not set": (INFERENCE, {"HOME": None}),
    "HOME cannot be written": (INFERENCE, {"HOME": "/proc/nobody", "XDG_CACHE_HOME": None}),
    "TMPDIR does not exist": (INFERENCE, {"TMPDIR": "/proc/none"}),
    "ASCII locale": (
        INFERENCE, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    "streams are ASCII": (TABLES, {"PYTHONIOENCODING": "ascii:strict"}),
    "a locale that is not installed": (TABLES, {"LANG": "tlh_QO.UTF-8", "LC_ALL": "tlh_QO.UTF-8"}),
    "14 hours ahead": (TABLES, {"TZ": "Pacific/Kiritimati"}),
    "a time zone that does not exist": (TABLES, {"TZ": "Atlantis/Capital"}),
    "narrow terminal": (TABLES, {"COLUMNS": "20", "LINES": "2"}),
    "no terminal description": (TABLES, {"TERM": None}),
    "hash seed 0": (TRAINING, {"PYTHONHASHSEED": "0"}),
    "hash seed 1": (TRAINING, {"PYTHONHASHSEED": "1"}),
    "random hash seed": (TRAINING, {"PYTHONHASHSEED": "random"}),
    "one thread for images": (INFERENCE, {"INTRADA_WORKERS": "1"}),
    "many threads for images": (INFERENCE, {"INTRADA_WORKERS": "7"}),
    "OpenMP asks for more threads": (TRAINING, {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}),
    "no program on the PATH": (TABLES, {"PATH": "/nowhere"}),
    "no network": (TABLES, {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}),
    "warnings of Python": (TABLES, {"PYTHONWARNINGS": "default", "PYTHONDEVMODE": "1"}),
}  # fmt: skip


@pytest.mark.parametrize(("jobs", "variables"), VARIABLES.values(), ids=VARIABLES)
def test_variables_of_the_environment_change_no_byte(
    place: Place, jobs: Sequence[str], variables: Mapping[str, str | None]
) -> None:
    place.run(jobs, env=variables)
    place.same_bytes()


def test_without_asserts_and_docstrings_no_byte_changes(place: Place) -> None:
    """-OO does what -O does, too; -P takes the working directory from the path."""
    place.run(flags=["-OO", "-P"])
    place.same_bytes()


@pytest.mark.parametrize("years", [-40, 30])
def test_a_wrong_clock_changes_no_byte(place: Place, years: int) -> None:
    place.run(TABLES, program=[CLOCK, str(years * 365.25 * 86400)])
    place.same_bytes()
    starts = {record.start[:4] for record in records.scan()[0]}
    assert str(datetime.now(UTC).year + years) in starts


def test_the_umask_decides_who_may_read_the_outputs(place: Place) -> None:
    place.run(INFERENCE, before="umask 077")
    place.same_bytes()
    assert mode("results/rank/split.csv") == mode("results/score/scores.csv") == 0o600
    place.run(TABLES, before="umask 022")
    assert mode("results/rank/split.csv") == 0o644


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)
