"""When the programs search for garbage: not while they start and end, and as usual while a stage runs."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from intrada.__main__ import main
from tests.support.definition import ROOT

# Registered first, so it runs last at the exit.
REPORT = """
import atexit, gc, sys
atexit.register(lambda: print("at the end:", gc.isenabled(), gc.get_freeze_count() > len(gc.get_objects())))
"""


def end_of(script: str) -> str:
    """Return the last line that a program prints: whether it searches for garbage, and among few objects only."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT + script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_without_the_calls_python_searches_among_all_objects() -> None:
    assert end_of("") == "at the end: True False"


def test_a_command_searches_again_when_its_modules_are_imported(tmp_path: Path) -> None:
    script = f"""
sys.argv = ["intrada", "schema", "--out", "{tmp_path / "schema.yaml"}"]
from intrada.__main__ import main
sys.exit(main())
"""
    assert end_of(script) == "at the end: True True"


def test_garbage_is_found_after_the_imports_and_what_was_there_is_not_searched() -> None:
    script = """
import weakref
from intrada.core import garbage
class Node: pass
def cycle():
    node = Node()
    node.own = node
    return weakref.ref(node)
garbage.postpone()
before = cycle()
assert not gc.isenabled()
garbage.resume()
after = cycle()
gc.collect()
assert after() is None and before() is not None
assert gc.get_threshold()[0] < 10_000
"""
    assert end_of(script) == "at the end: True True"


@pytest.mark.parametrize("words", [["job", "--help"], ["dvc_command", "--version"]])
def test_what_starts_dvc_searches_rarely(words: list[str]) -> None:
    script = f"""
import runpy
atexit.register(lambda: print("threshold:", gc.get_threshold()[0] >= 100_000))
sys.argv = {words}
runpy.run_module("intrada.pipeline.{words[0]}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", REPORT + script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["threshold: True", "at the end: True True"], done.stderr


def test_a_call_from_python_leaves_the_search_as_it_is() -> None:
    before = gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()
    with pytest.raises(SystemExit):
        main(["rank", "--help"])
    assert (gc.isenabled(), gc.get_freeze_count(), gc.get_threshold()) == before
