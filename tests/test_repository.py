"""Files of the repository that repeat what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from ruamel.yaml import YAML

import intrada
from tests.support.definition import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_names_this_version_its_licence_and_the_paper() -> None:
    citation = read("CITATION.cff")
    assert (citation["version"], citation["license"]) == (intrada.__version__, PROJECT["license"])
    (paper,) = citation["references"]
    assert f"title = {{{paper['title']}}}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_tests_each_python_that_is_allowed() -> None:
    first, after = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    fast = read(".github/workflows/ci.yml")["jobs"]["fast"]
    assert fast["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(first, after)]


def test_issue_forms_have_fields_with_unique_names() -> None:
    for path in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")):
        if path.stem != "config":
            form = read(str(path))
            ids = [field["id"] for field in form["body"]]
            assert {"name", "description"} <= set(form) and len(ids) == len(set(ids)) > 0, path
