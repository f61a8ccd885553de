"""Names of DVC that it does not document: a DVC without one of them is refused at the start."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from intrada.core.errors import UserError
from intrada.pipeline import bridge, dvc_api, dvc_command, dvc_templates
from tests.support.definition import ROOT
from tests.support.imports import modules


def test_all_names_are_in_the_installed_dvc() -> None:
    dvc_api.check()


@pytest.mark.parametrize("name", dvc_api.NAMES)
def test_a_dvc_without_a_name_is_refused_with_the_versions_that_are_supported(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, _, attribute = name.partition(":")
    owner: Any = importlib.import_module(module)
    *above, last = attribute.split(".")
    for part in above:
        owner = getattr(owner, part)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    owners = [cls for cls in getattr(owner, "__mro__", [owner]) if last in vars(cls)]
    for each in owners:  # a class inherits some of them
        monkeypatch.delattr(each, last)
    with pytest.raises(UserError, match=rf"(?s)DVC 3\..*{last}.*allowed: dvc>=3.67,<3.68\n.*pip install"):
        bridge.stages(tmp_path, main=True, dry=True, on_cpu=False)
    assert dvc_command.main(["--cd", str(tmp_path), "status"]) == 1
    assert last in capsys.readouterr().err


def test_every_name_that_is_used_is_checked_and_nothing_else_uses_dvc() -> None:
    """An imported name would fail with a traceback in place of the message."""
    files = [Path(str(module.__file__)) for module in (dvc_api, dvc_templates)]
    texts = [path.read_text(encoding="utf-8") for path in files]
    used = [name for text in texts for name in re.findall(r"get\(\s*\"(dvc[^\"]+)\"", text)]
    assert len(used) > 10
    assert not [
        name for name in used if not any(f"{known}.".startswith(f"{name}.") for known in dvc_api.NAMES)
    ]
    for path in modules().values():
        assert not re.search(r"^\s*(from|import) dvc\b", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_so_is_a_dvc_that_cannot_be_told_to_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def init(self: Repo, root_dir: str | None = None) -> None: ...

    monkeypatch.setattr(Repo, "__init__", init)
    with pytest.raises(UserError, match=r"no argument _wait_for_lock"), dvc_api.opened(tmp_path):
        pass


def test_the_versions_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"dvc{dvc_api.SUPPORTED}" in project["dependencies"]
    assert "dvc" not in project["scripts"]


def test_a_folder_outside_a_dvc_project_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not in a DVC project"), dvc_api.opened(tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "found"),
    [("a {b}", "has a brace in its path"), ("\udcc3\udc9c", "is not ASCII, but the locale is")],
)
def test_a_folder_below_which_dvc_fails_is_named(tmp_path: Path, name: str, found: str) -> None:
    """The second name is that of a folder whose bytes the locale C cannot decode."""
    with pytest.raises(UserError, match=found), dvc_api.opened(tmp_path / name):
        pass
