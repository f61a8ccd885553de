"""What pytest says of the tests that it did not run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.definition import ROOT

PLOTS = "tests/evaluation/reporting/test_plots_page.py"


def run_without_browser(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", PLOTS, "-k", "command0"]
    found = {name: value for name, value in os.environ.items() if not name.startswith("INTRADA_REQUIRE")}
    found |= {"PATH": str(folder), **environment}
    return subprocess.run(command, cwd=ROOT, env=found, capture_output=True, text=True)


@pytest.mark.slow
def test_a_skipped_test_is_named_with_the_reason_and_the_way_to_run_it(tmp_path: Path) -> None:
    done = run_without_browser(tmp_path)
    assert done.returncode == 0
    assert "1 skipped: no Chromium or Chrome on the PATH; to run: apt install chromium" in done.stdout
    assert f"    {PLOTS}::test_the_plots_are_drawn_without_network[command0]" in done.stdout
    assert "not selected: paper: " in done.stdout and "python -m pytest -m paper" in done.stdout


@pytest.mark.slow
def test_where_the_browser_is_required_its_absence_is_a_failure(tmp_path: Path) -> None:
    done = run_without_browser(tmp_path, INTRADA_REQUIRE_BROWSER="1")
    assert done.returncode == 1
    assert "no Chromium or Chrome on the PATH" in done.stdout and "1 error" in done.stdout
