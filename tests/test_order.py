"""The order in which `make test` runs the tests, see tests/support/scheduling.py."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.definition import ROOT

scheduling = pytest.importorskip("tests.support.scheduling", reason="pytest-xdist is not installed")


def test_the_longest_files_come_first_then_those_of_drivers_then_the_slow_ones() -> None:
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py")]
    assert set(scheduling.LONGEST) <= {*files}
    ordered = sorted(files, key=scheduling.rank)
    assert ordered[: len(scheduling.LONGEST)] == list(scheduling.LONGEST)
    places = [
        ordered.index(f"tests/{name}.py")
        for name in ("drivers/test_words", "core/test_chaos", "core/test_locks")
    ]
    assert places == sorted(places)


def test_the_words_of_the_makefile_put_a_file_with_slow_tests_before_quick_tests() -> None:
    recipe = re.search(r"^test: lint\n\tpython (-m pytest .*)$", (ROOT / "Makefile").read_text(), re.M)
    assert recipe is not None
    quick = "tests/core/test_locks.py::test_a_long_command_is_shortened"
    of_slow_file = "tests/core/test_chaos.py::test_the_table_counts_the_stages_of_each_phase"
    words = [*recipe[1].replace("-n 2", "-n 1").split(), "-vv", "-p", "no:cacheprovider", quick, of_slow_file]
    said = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True).stdout
    assert re.findall(r"PASSED (\S+)", said) == [of_slow_file, quick], said


def test_one_worker_gets_a_file_with_slow_tests_and_any_worker_a_quick_test() -> None:
    shared = scheduling.shared
    assert shared("tests/core/test_chaos.py::test_a[1]") == shared("tests/core/test_chaos.py::test_b")
    assert shared("tests/core/test_locks.py::test_a[1]") != shared("tests/core/test_locks.py::test_a[2]")
