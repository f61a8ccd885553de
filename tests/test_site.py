"""The documentation site: it builds without a warning, and its generated pages have every command and parameter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from intrada import cli
from intrada.core.config.schema import Params

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_and_its_reference_is_whole(site: Path) -> None:
    commands = (site / "reference/commands.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in commands for name in cli.WORDS)
    params = (site / "reference/params.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in params for name in Params.model_fields)
    assert "Load a trained model" in (site / "reference/python.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]* src="https?:', text), page
        assert not re.search(r'<link[^>]* rel="(?:stylesheet|preconnect)"[^>]* href="https?:', text), page
