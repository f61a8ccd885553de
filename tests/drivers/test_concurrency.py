"""Two drivers at once: the second names the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline import dvc_api
from tests.support import project as projects
from tests.support.project import DVC, Project

pytestmark = pytest.mark.drivers


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of one stage, which takes a minute."""
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path)
    made.run(*DVC, "init", "-q", "--no-scm")
    stage = {"cmd": "touch begun.txt && sleep 60", "outs": ["out.txt"]}
    (tmp_path / "dvc.yaml").write_text(plain_yaml.dump({"stages": {"slow": stage}}))
    return made


def status(folder: Path) -> object:
    """What Snakemake asks when it starts."""
    with dvc_api.opened(folder) as repo:
        return dvc_api.status(repo, folder / "dvc.yaml")


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # within DVC
def test_whoever_comes_while_dvc_runs_a_stage_is_told_the_process_and_touches_nothing(slow: Project) -> None:
    with projects.started(slow, *DVC, "repro") as first:
        projects.wait_for(slow, "begun.txt", 60)
        with pytest.raises(
            UserError, match=rf"dvc.yaml: a stage is run by .*\(PID {first.pid}\): \S+ repro\n"
        ):
            status(slow.folder)
        second = slow.dvc("--wait-for-lock", "repro", ok=False)
        assert second.returncode != 0
        assert f"(PID {first.pid})" in second.stdout
