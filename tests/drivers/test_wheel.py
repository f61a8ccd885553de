"""The wheel and the sdist: what is in them, what they install, and a project that `intrada init` writes."""

from __future__ import annotations

import email
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import definition, toy_copy
from tests.support import project as projects
from tests.support.own_data import label, photo
from tests.support.project import ROOT, Project

pytestmark = pytest.mark.slow

WORDS = ["python", "intrada", "intrada", "intrada", "snakemake", "intrada"]
DVC_SCRIPT = "#!{python}\nimport sys\n\nfrom dvc.cli import main\n\nsys.exit(main())\n"  # as pip writes it


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of wheel and sdist, built from the files that Git has; nothing is downloaded."""
    source = tmp_path_factory.mktemp("source")
    for name in projects.tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    run(source, sys.executable, "-m", "hatchling", "build", "--directory", "dist")
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel; all other packages are lent by that of the tests."""
    folder = tmp_path_factory.mktemp("installed") / ".venv"
    found = environment(folder)
    pip(found, "install", "--no-deps", "--no-index", str(wheel))
    lend(folder)
    return found


def environment(folder: Path) -> Path:
    venv.create(folder, with_pip=False)
    return folder / "bin/python"


def packages(folder: Path) -> Path:
    [found] = folder.glob("lib/python*/site-packages")
    return found


def lend(folder: Path) -> Path:
    """Add the packages of the tests' environment after its own; return the file that does it."""
    file = packages(folder) / "lent.pth"
    file.write_text("\n".join(path for path in sys.path if Path(path).name == "site-packages"))
    return file


def run(folder: Path, *command: str | Path, ok: bool = True) -> str:
    """Run a command and return what it prints. The environment has no PYTHONPATH, which names a checkout."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=alone, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0 or not ok, done.stdout[-6000:]
    return done.stdout


def pip(python: str | Path, *words: str) -> None:
    run(Path(), sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", *words)


def test_the_wheel_holds_one_package_and_one_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [entries] = [name for name in names if name.endswith("/entry_points.txt")]
        commands = archive.read(entries).decode()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"intrada"}
    assert commands.split() == ["[console_scripts]", "intrada", "=", "intrada.__main__:main"]
    assert {
        "intrada/py.typed",
        "intrada/evaluation/reporting/page/page.html.j2",
        "intrada/project/dvc.yaml",
    } <= {*names}


def test_the_wheel_and_the_sdist_pass_the_checks_of_an_index(built: Path, wheel: Path) -> None:
    files = sorted(map(str, built.iterdir()))
    said = run(built, sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files)
    assert said.count("PASSED") == len(files) == 2
    assert run(built, sys.executable, "-m", "check_wheel_contents", wheel) == f"{wheel}: OK\n"


def test_the_package_says_who_made_it_and_points_to_no_address_that_is_not_its_own(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        found = email.message_from_string(archive.read(name).decode())
    assert found["Author"] and found["License-Expression"] == "MIT" and found["Keywords"]
    assert not found.get_all("Project-URL") and not found["Home-page"]
    readme = found.get_payload()
    assert "snakemake" in readme
    assert [
        link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith(("https://", "#"))
    ] == []
    assert "github.com" not in readme


def test_an_sdist_makes_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    run(source, sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist")
    [again] = (source / "dist").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()


def test_installing_and_uninstalling_it_leaves_the_command_of_dvc_alone(wheel: Path, tmp_path: Path) -> None:
    """DVC's package is lent by the environment of the tests, since installing it would be a download."""
    folder = tmp_path / "env"
    python, script = environment(folder), folder / "bin/dvc"
    content = DVC_SCRIPT.format(python=python)
    script.write_text(content)
    script.chmod(0o755)

    def dvc_works() -> bool:
        lent = lend(folder)
        done = subprocess.run([script, "--version"], text=True, capture_output=True)
        lent.unlink()  # pip would see the packages of the tests too
        return script.read_text() == content and done.stdout.startswith("3.")

    assert dvc_works()
    pip(python, "install", "--no-deps", "--no-index", str(wheel))
    assert (folder / "bin/intrada").exists()
    assert dvc_works()
    pip(python, "uninstall", "--yes", "intrada")
    assert not (folder / "bin/intrada").exists()
    assert dvc_works()


def start(python: Path, folder: Path) -> Project:
    """Make a tiny project by the command of the wheel."""
    run(folder.parent, python.parent / "intrada", "init", folder)
    made = Project(folder)
    made.set_params(**projects.tiny())
    assert not (folder / "intrada").exists()
    return made


def snakemake(python: Path, made: Project) -> str:
    return run(made.folder, python, "-m", "snakemake", "--cores", "all", "--resources", "gpu=1")


def dvc(python: Path, made: Project, *targets: str) -> list[str]:
    """Run plain `dvc repro` with this Python first on the PATH; return the stages that DVC runs."""
    path = f"PATH={python.parent}{os.pathsep}{os.environ['PATH']}"
    said = run(made.folder, "env", path, python, "-m", "dvc", "repro", *targets)
    return re.findall(r"^Running stage '(.*)':", said, re.M)


@pytest.mark.drivers
def test_a_project_without_checkout_and_git_runs_by_snakemake_then_dvc_and_notices_an_update(
    python: Path, first: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake's environment need not be active. In the end the installed package is another one.

    Without target labels, and killed midway, all bytes are those of a checkout.
    """
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    made = start(python, tmp_path / "mine")
    toy_copy.use_without_target_labels(made, first, tmp_path)
    with projects.started(made, str(python), "-m", "snakemake", "--cores", "all") as process:
        projects.wait_for(made, "runs/train_inter/*/checkpoint_*.pt")
        os.killpg(process.pid, signal.SIGKILL)
    snakemake(python, made)
    assert made.contents(*toy_copy.EVERYTHING) == first.contents(*toy_copy.EVERYTHING)
    assert "images have no labels" in (made.folder / "results/report/diagnosis.json").read_text()
    assert (made.folder / "results/report/index.html").is_file()
    stages = len(definition.jobs(made.params())) - 1  # validate is no stage of the execution log
    assert len(made.executed()) == stages
    assert dvc(python, made) == ["validate"]  # it compares the code, which takes seconds
    assert "Nothing to be done" in snakemake(python, made)
    assert len(made.executed()) == stages

    page = packages(python.parents[1]) / "intrada/evaluation/reporting/page/page.html.j2"
    page.write_text(page.read_text() + "\n/* of another version */\n")
    said = run(made.folder, python, "-m", "snakemake", "--cores", "all", "--dry-run")
    assert re.findall(r"^Job \d+: (\S+):", said, re.M) == ["report"]
    assert dvc(python, made) == ["validate", "report"]
    assert "Nothing to be done" in snakemake(python, made)


@pytest.mark.drivers
def test_a_project_in_git_runs_a_stage_by_dvc_then_nothing_by_snakemake(python: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    run(tmp_path, "git", "init", "-q", folder)
    made = start(python, folder)
    made.commit("start")
    up_to_check = ["check", "toycity@source", "toycity@target", "validate"]
    assert sorted(dvc(python, made, "check")) == up_to_check
    said = run(folder, python, "-m", "snakemake", "--cores", "all", "results/check/stamp.json")
    assert "Nothing to be done" in said
    assert run(folder, "git", "status", "--porcelain") == "?? dvc.lock\n"


def test_the_ablation_needs_a_checkout_and_says_so(python: Path, tmp_path: Path) -> None:
    made = start(python, tmp_path / "mine")
    said = run(made.folder, python, "-m", "snakemake", "ablation", "--cores", "1", ok=False)
    assert "ablation/dvc.yaml: no such file" in said and "a checkout of the Git repository" in said


@pytest.mark.drivers
def test_the_tutorial_takes_six_commands_from_an_empty_folder(python: Path, tmp_path: Path) -> None:
    """Those that describe the photographs run as on the page; the project that they make is planned, not run."""
    page = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)\n```$", page, re.M | re.S)
    first, *commands = [block for kind, block in blocks if not kind]
    assert first.startswith("mogrify ")  # it prepares the images of the page
    assert [command.split()[0] for command in commands] == WORDS
    assert all("\n" not in command and "&&" not in command for command in commands)
    for name in "abcdef":
        photo(tmp_path / f"photos/fluorescence/images/{name}.png")
        label(tmp_path / f"photos/fluorescence/labels/{name}.png", [0, 1])
        photo(tmp_path / f"photos/tissue/{name}.png")
    folder = tmp_path / "nuclei"
    folder.mkdir()
    path = f"PATH={python.parent}{os.pathsep}{os.environ['PATH']}"
    for command in [*commands[1:4], "intrada check"]:
        said = run(folder, "env", path, "bash", "-c", command)
    assert "check: source: 6 images, 6 labels: background 50.0%, nucleus 50.0%" in said
    made = Project(folder)
    assert made.params()["preprocess"]["target"]["root"] == "../photos/tissue"
    plan = run(folder, python, "-m", "snakemake", "--cores", "all", "--dry-run")
    assert "train_intra: " in plan
    assert "results/train_intra/last.safetensors" in commands[-1]
