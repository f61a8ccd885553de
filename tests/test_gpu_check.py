"""`make gpu-check` in miniature: without a GPU, on tiny images."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import LIMITS, __main__, parts
from intrada.core.errors import UserError
from tests.support.definition import ROOT

PASSED = {"passed": True, "seconds": 2.0, "rows": [
    {"name": "speed", "value": 4.25, "unit": "x", "bar": "at least 4", "passed": True}]}  # fmt: skip
MISSED = {"passed": False, "seconds": 2.0, "rows": [
    {"name": "memory", "value": 0.5, "unit": "", "bar": "0.8 to 1.2", "passed": False}]}  # fmt: skip
FAILED = {"passed": False, "seconds": 9.0, "error": "exit code 1: a | b\n  c"}


def test_all_parts_together_take_at_most_eight_minutes() -> None:
    assert LIMITS.keys() == parts.PARTS.keys() and sum(LIMITS.values()) <= 8 * 60


def test_the_part_of_tests_knows_every_file_with_a_test_for_a_gpu() -> None:
    marked = re.compile(r"(@|marks=\[)pytest\.mark\.cuda\b")
    found = [path for path in (ROOT / "tests").rglob("test_*.py") if marked.search(path.read_text("utf-8"))]
    assert sorted(path.relative_to(ROOT).as_posix() for path in found) == sorted(parts.TESTS)


@pytest.mark.slow
@pytest.mark.parametrize("part", LIMITS)
def test_a_part_runs_in_miniature_on_a_cpu(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = __main__.run(part, "cpu", small=True, limit=600)
    assert result["passed"] and len(result["rows"]) >= 1, result
    assert all(row["value"] >= 0 for row in result["rows"])


def test_a_part_that_takes_too_long_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = __main__.run("memory", "cpu", small=True, limit=0.2)
    assert (result["passed"], result["error"]) == (False, "not ended after 0.2 s")


def test_a_part_that_fails_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results: dict[str, Any] = {"tests": FAILED, "iteration": PASSED, "memory": MISSED}
    monkeypatch.setattr(__main__, "run", lambda part, device, small: results[part])
    assert __main__.main(["--device", "cpu", "--only", "tests", "iteration"]) == 1
    assert __main__.main(["--device", "cpu", "--only", "iteration"]) == 0
    assert __main__.main(["--device", "cpu", "--only", *results]) == 1
    written: Any = json.loads(__main__.OUT.read_text(encoding="utf-8"))
    assert written == {"device": "CPU", "small": False, "parts": results}
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "| CPU | figure | bar |",
        "| --- | ---: | --- |",
        "| tests: failed after 9 s | | exit code 1: a \\| b c |",
        "| iteration: speed | 4.25 x | at least 4 |",
        "| memory: memory | 0.5  | 0.8 to 1.2 (missed) |",
    ]


def test_without_a_gpu_it_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match="torch sees no CUDA device"):
        __main__.main([])


def test_its_help_says_what_it_does() -> None:
    assert gpu_check.__doc__ and "make gpu-check" in gpu_check.__doc__
