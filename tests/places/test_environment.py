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
# As many as go together, since a process takes seconds. One that fails: run the test with fewer of them.
VARIABLES: dict[str, tuple[Sequence[str], Mapping[str, str | None]]] = {
    "nothing is set or there, ASCII locale": (
        INFERENCE,
        {
            "HOME": None, "TERM": None, "TMPDIR": "/proc/none", "PATH": "/nowhere", "INTRADA_WORKERS": "1",
            "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
        },
    ),
    "14 hours ahead, ASCII streams, many threads, no network, hash seed 0": (
        TRAINING,
        {
            "HOME": "/proc/nobody", "XDG_CACHE_HOME": None, "TZ": "Pacific/Kiritimati", "COLUMNS": "20",
            "LINES": "2", "PYTHONIOENCODING": "ascii:strict", "PYTHONHASHSEED": "0", "INTRADA_WORKERS": "7",
            "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
    ),
    "locale and time zone that are not installed, warnings of Python, hash seed 1": (
        TABLES,
        {
            "LANG": "tlh_QO.UTF-8", "LC_ALL": "tlh_QO.UTF-8", "TZ": "Atlantis/Capital",
            "PYTHONWARNINGS": "default", "PYTHONDEVMODE": "1", "PYTHONHASHSEED": "1",
        },
    ),
}  # fmt: skip
# The libraries' own bytecode: Python would compile all of torch for this one run.
NO_ASSERTS = """
import importlib._bootstrap_external as loader, sys
named = loader.cache_from_source
def cached(path, *rest, **options):
    return named(path, optimization="") if "site-packages" in path else named(path, *rest, **options)
loader.cache_from_source = cached
from tests.places import short_run
if __debug__ or short_run.__doc__:
    sys.exit("asserts and docstrings are there")
sys.exit(short_run.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("jobs", "variables"), VARIABLES.values(), ids=VARIABLES)
def test_variables_of_the_environment_change_no_byte(
    place: Place, jobs: Sequence[str], variables: Mapping[str, str | None]
) -> None:
    place.run(jobs, env=variables)
    place.same_bytes()


def test_without_asserts_and_docstrings_another_hash_seed_changes_no_byte(place: Place) -> None:
    """-OO does what -O does, too; -P takes the working directory from the path."""
    variables = {"PYTHONHASHSEED": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # that of -OO is for no other run
    place.run(flags=["-OO", "-P"], program=[NO_ASSERTS], env=variables)
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
    place.run(["rank"], before="umask 022")
    assert mode("results/rank/split.csv") == 0o644


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)
