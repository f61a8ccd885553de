"""`intrada init`: which files it writes and when it refuses; tests/drivers/test_wheel.py runs such a project."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import intrada
from intrada.__main__ import main
from intrada.core.config import plain_yaml
from intrada.pipeline import dvc_api, project_files
from tests.support.definition import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC

CHANGED = {"README.md", "dvc.yaml", "workflow/envs/stage.yaml"}
NO_SCM = ".dvc/config.local"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in no Git repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def written(folder: Path) -> dict[str, bytes]:
    names = {path: path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for path, name in names.items() if not name.startswith(".git/")}


def test_the_files_are_those_of_the_checkout_but_for_three() -> None:
    assert main(["init", "mine"]) == 0
    found = written(Path("mine"))
    for name in found.keys() - CHANGED - {NO_SCM}:
        assert found[name] == (ROOT / name).read_bytes(), name
    assert {"params.yaml", "Snakefile", "workflow/rules/stages.smk", "profiles/default/config.yaml", ".dvcignore",
            ".gitignore", ".dvc/config", ".dvc/.gitignore", ".dvc/plots/page.html", "weights/random"} <= found.keys()  # fmt: skip
    presets = {f"presets/{path.name}" for path in (ROOT / "presets").iterdir()}
    assert presets == {name for name in found if name.startswith("presets/")}
    readme = found["README.md"].decode()
    assert readme.startswith("# mine\n") and len(readme.splitlines()) <= 12


def test_the_definition_differs_in_the_dep_on_the_code_alone() -> None:
    """DVC does not see the installed package, so it runs `validate` each time, which compares its hashes."""
    assert main(["init", "mine"]) == 0
    own, theirs = (plain_yaml.read(folder / "dvc.yaml") for folder in (Path("mine"), ROOT))
    changed, validate = own["stages"].pop("validate"), theirs["stages"].pop("validate")
    assert own == theirs
    assert changed == {**validate, "deps": ["params.yaml"], "always_changed": True}
    jobs: Any = plain_yaml.read(Path("mine/workflow/envs/stage.yaml"))["dependencies"][-1]["pip"]
    of_checkout: Any = plain_yaml.read(ROOT / "workflow/envs/stage.yaml")["dependencies"][-1]["pip"]
    assert jobs == [*of_checkout, f"intrada=={intrada.__version__}"]


def test_the_build_puts_each_file_below_the_folder_where_init_looks() -> None:
    table: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for key in project_files.TABLE:
        table = table[key]
    assert table == {name: f"intrada/{project_files.BUILT}/{name}" for name in table}


def test_the_preset_is_the_params(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "deep/er", "--preset", "minent"]) == 0
    assert Path("deep/er/params.yaml").read_bytes() == (ROOT / "presets/minent.yaml").read_bytes()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  cd deep/er",
        "  intrada data SOURCE TARGET                # to use your own folders of images",
        "  snakemake --cores all --resources gpu=1",
    ]


def test_settings_change_values_and_no_comment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mine", "--set", "rank.easy_fraction=0.5", "--set", "seed=7"]) == 0
    before, after = (ROOT / "presets/toycity.yaml").read_text(), Path("mine/params.yaml").read_text()
    changed = [
        pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]
    ]
    assert [new.split("#")[0].strip() for _, new in changed] == ["seed: 7", "easy_fraction: 0.5"]
    assert main(["init", "other", "--set", "rank.easy_fraction=5"]) == 1
    assert "rank.easy_fraction = 5" in capsys.readouterr().err and not Path("other").exists()


def test_an_unknown_preset_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mine", "--preset", "mincent"]) == 1
    assert "no preset 'mincent' (did you mean minent?)" in capsys.readouterr().err
    assert not Path("mine").exists()


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "data/a.png"])
def test_a_folder_that_is_not_empty_is_left_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("mine", name)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert main(["init", "mine"]) == 1
    assert f"mine: is not empty: it has {name.split('/')[0]}\n" in capsys.readouterr().err
    assert written(Path("mine")) == {name: b"mine"}


@pytest.mark.parametrize(("name", "message"), [("file", "is no folder"), ("a{b}", "has a brace in its path")])
def test_what_cannot_become_a_project_is_refused(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    assert main(["init", name]) == 1
    assert message in capsys.readouterr().err
    assert not Path("a{b}").exists()


def test_the_working_directory_becomes_a_project_of_its_git_repository(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`git init` and `python -m venv .venv` come first, say."""
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".venv").mkdir()
    assert main(["init", "."]) == 0
    assert "cd " not in capsys.readouterr().out
    assert not Path(NO_SCM).exists() and "config.local" not in Path("README.md").read_text()
    with dvc_api.opened(work) as repo:
        assert "report" in {stage.name for stage in dvc_api.definitions(repo, work / "dvc.yaml")}
    left = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True
    )
    assert {line[3:] for line in left.stdout.splitlines()} == written(work).keys() - {".dvc/tmp/btime"}


@pytest.mark.parametrize("ignored", [True, False])
def test_dvc_works_without_git_and_where_git_ignores_the_project(work: Path, ignored: bool) -> None:
    """DVC refuses a dvc.yaml that Git ignores, and a folder without Git unless it is told so."""
    if ignored:
        subprocess.run(["git", "init", "-q"], check=True)
        Path(".gitignore").write_text("/mine/\n")
    assert main(["init", "mine"]) == 0
    assert "delete `.dvc/config.local`" in Path("mine/README.md").read_text()
    with dvc_api.opened(work / "mine") as repo:
        assert "report" in {stage.name for stage in dvc_api.definitions(repo, work / "mine/dvc.yaml")}


def test_a_package_without_the_files_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], work: Path
) -> None:
    monkeypatch.setattr(project_files, "PACKAGE", work / "copied/intrada")
    assert main(["init", "mine"]) == 1
    assert "was installed without the files of a project" in capsys.readouterr().err
    assert not Path("mine").exists()
