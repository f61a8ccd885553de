"""A tiny ablation by the real dvc and snakemake, beside a main pipeline that never ran."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import project as projects
from tests.support.project import Project

pytestmark = pytest.mark.drivers

REPRO = ("--cd", "ablation", "repro", "summary@toycity")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return projects.make(tmp_path_factory.mktemp("ablation"))


def jobs(project: Project) -> list[str]:
    """The stages of the pipeline that the ablation ran, by the folder that they ran in."""
    logs = (project.folder / "ablation/results/work").rglob("execution.jsonl")
    return sorted(f"{log.parents[1].name} {line.count('done')}" for log in logs for line in _lines(log))


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def test_both_drivers_run_the_ablation_once_and_nothing_else(tiny: Project) -> None:
    output = tiny.run(*projects.SNAKEMAKE[:3], "ablation_summary_toycity", "--cores", "2").stdout
    table = (tiny.folder / "ablation/results/summary/toycity/table.md").read_text()
    assert "AdvEnt continued" in table and "IntraDA" in table
    together = [
        set(re.findall(r"^Job \d+: \S*recipe_toycity@(\S+):", part, re.M))
        for part in output.split("Execute ")
    ]
    assert {"7-advent_continued", "7-intrada"} in together
    assert {line["stage"].partition("/")[0] for line in tiny.executed()} == {"ablation"}  # for the time left
    assert not (tiny.folder / "data/preprocess").exists()
    before = jobs(tiny)
    assert "didn't change" in tiny.dvc(*REPRO).stdout
    path = tiny.folder / "ablation/ablation.yaml"
    path.write_text(path.read_text().replace("rank.easy_fraction: 0.67", "rank.easy_fraction: 0.34"))
    tiny.dvc(*REPRO)
    after = jobs(tiny)
    new = [line for line in after if after.count(line) > before.count(line)]
    assert {line.split()[0] for line in new} == {"intrada"}
    tiny.snakemake("ablation_summary_toycity")
    assert jobs(tiny) == after
    assert "ablation" not in tiny.dvc("status").stdout
