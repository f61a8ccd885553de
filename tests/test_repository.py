"""Files of the repository that repeat what pyproject.toml says."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What an environment depends on."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").mkdir()
    return tmp_path


def installs(folder: Path, *words: str) -> list[str]:
    """Return the commands with which `make WORDS` would install this package. Nothing is run."""
    command = ["make", "--dry-run", "PYTHON=python3.11", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "--editable" in line]


def test_the_demo_installs_no_package_of_the_tests_and_the_tests_add_them(checkout: Path) -> None:
    [demo] = installs(checkout, "demo")
    assert "--editable '.' ||" in demo and "uv cannot install; trying pip" in demo  # uv reads no pip.conf
    assert demo.count("--constraint constraints.txt") == 3
    [by_pip] = installs(checkout, "demo", "INSTALLER=pip")
    assert by_pip.strip().endswith("--editable '.'") and "uv" not in by_pip.split()
    [test] = installs(checkout, "test")
    extras = {name for words in re.findall(r"'\.\[([^]]*)\]'", test) for name in words.split(",")}
    assert extras == set(PROJECT["optional-dependencies"])
    base = {re.split(r"[<>=]", entry)[0] for entry in PROJECT["dependencies"]}
    assert not base & {"scipy", "tensorboard", "playwright", "onnx", "opencv-python"}


def test_an_environment_is_made_once_and_that_of_the_tests_serves_the_demo(checkout: Path) -> None:
    (checkout / ".venv/installed-demo").touch()
    assert not installs(checkout, "demo") and len(installs(checkout, "test")) == 1
    command = ["make", "--dry-run", "test-env"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    assert "touch .venv/installed-demo .venv/installed-test" in done.stdout
    (checkout / ".venv/installed-test").touch()
    assert not installs(checkout, "test")


@pytest.mark.parametrize(
    ("installer", "option"),
    [("uv", "--torch-backend cpu"), ("pip", "--extra-index-url https://download.pytorch.org/whl/cpu")],
)
def test_torch_without_cuda_comes_from_its_own_index(checkout: Path, installer: str, option: str) -> None:
    (checkout / ".venv/installed-demo").touch()  # with CUDA
    [demo] = installs(checkout, "demo", "TORCH=cpu", f"INSTALLER={installer}")
    assert option in demo
    (checkout / ".venv/installed-demo-cpu").touch()
    assert not installs(checkout, "demo", "TORCH=cpu") and not installs(checkout, "demo")


@pytest.mark.parametrize("word", ["TORCH=rocm", "INSTALLER=conda"])
def test_other_values_stop_make(checkout: Path, word: str) -> None:
    done = subprocess.run(["make", "--dry-run", word], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 2 and f"{word}; allowed: " in done.stderr
