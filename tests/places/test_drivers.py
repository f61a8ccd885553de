"""The drivers in unusual places: DVC's kinds of links to its cache, results on another disk, an odd environment."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from tests.drivers.conftest import first as first  # a fixture
from tests.support.project import DVC, SNAKEMAKE, Project

pytestmark = pytest.mark.drivers
STAGES = ("rank", "pseudo_label")
MADE = ("results/rank", "results/pseudo_label", "results/score/scores.csv")


@pytest.fixture(scope="module")
def copied(first: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished checkout; each test leaves it up to date."""
    folder = tmp_path_factory.mktemp("places") / "copied"
    return Project(shutil.copytree(first.folder, folder, symlinks=True))


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "reflink,copy"])
def test_each_kind_of_link_to_the_cache_gives_the_same_bytes_and_leaves_the_cache_alone(
    copied: Project, kind: str
) -> None:
    expected = copied.contents(*MADE)
    copied.dvc("config", "--local", "cache.type", kind)
    copied.dvc("checkout", "--relink", "-q")
    cache = {path: path.read_bytes() for path in (copied.folder / ".dvc/cache").rglob("*") if path.is_file()}
    copied.dvc("repro", "-q", "-s", "-f", *STAGES)
    assert copied.contents(*MADE) == expected
    assert {path: path.read_bytes() for path in cache} == cache
    split = (copied.folder / "results/rank/split.csv").lstat()
    assert (stat.S_ISLNK(split.st_mode), split.st_nlink > 1) == (kind == "symlink", kind == "hardlink")
    assert copied.dvc("status").stdout == "Data and pipelines are up to date.\n"


def test_results_and_cache_on_another_disk_behind_links_stay_up_to_date(
    copied: Project, tmp_path: Path
) -> None:
    for name in ("results", "runs", ".dvc/cache"):
        shutil.move(copied.folder / name, tmp_path / Path(name).name)
        (copied.folder / name).symlink_to(tmp_path / Path(name).name)
    assert copied.dvc("status").stdout == "Data and pipelines are up to date.\n"


def test_in_an_odd_environment_the_drivers_find_everything_up_to_date(copied: Project) -> None:
    """All at once, since a driver takes seconds to start."""
    odd = (
        "unset HOME LANG LC_ALL TERM; ulimit -n 64; umask 077; exec <&-; export PYTHONOPTIMIZE=1 COLUMNS=20"
        " TMPDIR=/proc/none TZ=Atlantis/Capital PYTHONHASHSEED=1"
    )
    before = copied.contents("results", "data/preprocess")
    found = copied.run("bash", "-c", f'{odd}; "$@"', "bash", *DVC, "status").stdout
    assert found == "Data and pipelines are up to date.\n"
    assert copied.stages_run_by(lambda: copied.run("bash", "-c", f'{odd}; "$@"', "bash", *SNAKEMAKE)) == []
    assert copied.contents("results", "data/preprocess") == before
