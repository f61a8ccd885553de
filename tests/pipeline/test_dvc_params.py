"""DVC's own commands on params read every preset, and show what changed between two revisions."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dvc.api
import pytest
from dvc.repo import Repo

from intrada.core.config import plain_yaml
from tests.support.definition import ROOT

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning"),  # DVC and ruamel.yaml
]


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    """A repository that holds dvc.yaml and the toy city's params, committed."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", ".")
    shutil.copyfile(ROOT / "dvc.yaml", "dvc.yaml")
    shutil.copyfile(ROOT / "presets/toycity.yaml", "params.yaml")
    with Repo.init() as made:
        git("add", ".")
        git("commit", "-qm", "toycity")
        yield made


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_dvc_shows_every_preset_and_its_difference_from_another(repo: Repo, preset: Path) -> None:
    shutil.copyfile(preset, "params.yaml")
    values: Any = plain_yaml.read(preset)
    assert dvc.api.params_show() == values
    assert dvc.api.params_show(deps=True)["preprocess"].keys() == values["preprocess"].keys()
    changed = repo.params.diff(a_rev="HEAD").get("diff", {}).get("params.yaml", {})
    assert ("report.title" in changed) == (preset.stem != "toycity")
    repo.params.diff(a_rev="HEAD", deps_only=True)
    assert [state.error for state in repo.experiments.show()] == [None] * 2  # the workspace and HEAD


def test_another_id_of_a_class_is_one_line_of_the_difference(repo: Repo) -> None:
    params: Any = plain_yaml.read(ROOT / "presets/camvid_day_to_dusk.yaml")
    Path("params.yaml").write_text(plain_yaml.dump(params))
    git("commit", "-aqm", "camvid")
    params["preprocess"]["source"]["options"]["mapping"]["sky"] = [0, 11]
    Path("params.yaml").write_text(plain_yaml.dump(params))
    changed = repo.params.diff(a_rev="HEAD")["diff"]["params.yaml"]
    assert changed == {"preprocess.source.options.mapping.sky": {"old": "[0]", "new": "[0, 11]"}}
