"""The wheel in an environment of its own: what it installs, and that DVC's command stays DVC's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.definition import ROOT

pytestmark = pytest.mark.slow

DVC_SCRIPT = "#!{python}\nimport sys\n\nfrom dvc.cli import main\n\nsys.exit(main())\n"  # as pip writes it


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since a build leaves folders in its source; nothing is downloaded."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "intrada", source / "intrada", ignore=shutil.ignore_patterns("__pycache__"))
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(source), str(source))
    [built] = source.glob("*.whl")
    return built


def pip(python: str | Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", *words]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=alone, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def test_the_wheel_holds_one_package_and_one_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [entries] = [name for name in names if name.endswith("/entry_points.txt")]
        commands = archive.read(entries).decode()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"intrada"}
    assert commands.split() == ["[console_scripts]", "intrada", "=", "intrada.__main__:main"]
    assert "intrada/py.typed" in names and "intrada/evaluation/reporting/page/page.html.j2" in names


def test_installing_and_uninstalling_it_leaves_the_command_of_dvc_alone(wheel: Path, tmp_path: Path) -> None:
    """DVC's package is lent by the environment of the tests, since installing it would be a download."""
    venv.create(tmp_path / "env", with_pip=False)
    python, script = tmp_path / "env/bin/python", tmp_path / "env/bin/dvc"
    [packages] = tmp_path.glob("env/lib/python*/site-packages")
    content = DVC_SCRIPT.format(python=python)
    script.write_text(content)
    script.chmod(0o755)

    def dvc_works() -> bool:
        lent = packages / "lent.pth"
        lent.write_text(sysconfig.get_path("purelib"))
        done = subprocess.run([script, "--version"], text=True, capture_output=True)
        lent.unlink()  # pip would see the packages of the tests too
        return script.read_text() == content and done.stdout.startswith("3.")

    assert dvc_works()
    pip(python, "install", "--no-deps", "--no-index", str(wheel))
    assert (tmp_path / "env/bin/intrada").exists()
    assert dvc_works()
    pip(python, "uninstall", "--yes", "intrada")
    assert not (tmp_path / "env/bin/intrada").exists()
    assert dvc_works()
