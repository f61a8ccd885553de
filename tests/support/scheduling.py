"""How `make test` hands the tests to its workers: the longest files first and whole, the quick tests last, one by one.

The tests of a file with slow tests share fixtures that take long to make. The groups of pytest-xdist 3.8 would do it
too, but pytest 9.2 takes no notice of them.
"""

from __future__ import annotations

import re
from functools import cache

from xdist.scheduler import LoadScopeScheduling

from tests.support.definition import ROOT

# The presets and the ablation early: they need no finished checkout, which test_drivers makes.
LONGEST = (
    "tests/drivers/test_drivers.py",
    "tests/drivers/test_self_training_presets.py",
    "tests/drivers/test_ablation.py",
    "tests/drivers/test_own_data.py",
    "tests/drivers/test_sets.py",
    "tests/drivers/test_mishaps.py",
    "tests/drivers/test_wheel.py",
)
QUICK = len(LONGEST) + 2


@cache
def rank(path: str) -> int:
    """Return the place of a file of tests, by its path in the checkout: the longest have 0, 1, ..."""
    if path in LONGEST:
        return LONGEST.index(path)
    text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
    kinds = set(re.findall(r"\bmark\.(drivers|slow)\b", text))
    return QUICK - 2 if "drivers" in kinds else QUICK - 1 if kinds else QUICK


def shared(nodeid: str) -> str:
    """Return what one worker gets together: the file of a long or slow test, a quick test alone."""
    path = nodeid.split("::")[0]
    return nodeid if rank(path) == QUICK else path


class LongFilesFirst(LoadScopeScheduling):
    """The scheduler of pytest-xdist that hands out what is `shared`, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return shared(nodeid)
