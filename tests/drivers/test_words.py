"""Snakemake's words on a copy of the finished checkout: what is forced, refused, planned, and said at the end."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

from tests.support.project import AFTER_LAMBDA, Project

pytestmark = pytest.mark.drivers


@pytest.fixture(scope="module")
def copied(first: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """As after a copy into a fresh clone: none of Snakemake's files, and the times of all others in no order."""
    folder = tmp_path_factory.mktemp("copied") / "checkout"
    without = shutil.ignore_patterns(".snakemake", "runs", "logs")
    shutil.copytree(first.folder, folder, symlinks=True, ignore=without)
    for number, path in enumerate(sorted(folder.glob("*s/**/*"))):  # the code, results, params in presets
        os.utime(path, (0, 10**9 + number * 7919 % 100_000), follow_symlinks=False)
    return Project(folder)


def planned(output: str) -> list[str]:
    return sorted(re.findall(r"^Job \d+: (\S+):", output, re.M))


def tail(output: str) -> str:
    return output.rstrip().rpartition("\n\n")[2]


def test_a_copy_that_is_up_to_date_has_nothing_to_do_and_a_dry_run_writes_nothing(copied: Project) -> None:
    before = copied.stamps()
    assert "Nothing to be done" in copied.snakemake("-n").stdout
    copied.set_params(rank__easy_fraction=0.5)
    assert planned(copied.snakemake("-n").stdout) == AFTER_LAMBDA
    copied.set_params(rank__easy_fraction=0.67)
    assert copied.stamps() == before
    assert not copied.executed()


def test_a_forced_stage_is_computed_and_those_after_it_say_that_they_are_not(copied: Project) -> None:
    output = ""

    def force() -> None:
        nonlocal output
        output = copied.snakemake("--forcerun", "results/rank/split.csv", "--until", "pseudo_label").stdout

    assert copied.stages_run_by(force) == ["rank"]
    assert planned(output) == ["pseudo_label", "rank"]
    assert (
        "pseudo_label: nothing computed, it is up to date (to compute it again: snakemake --forcerun"
        in output
    )
    assert "Nothing to be done" in copied.snakemake("results/score/predictions").stdout


def test_a_job_that_meets_a_lock_of_dvc_loses_no_file_and_its_message_is_the_last(copied: Project) -> None:
    page = copied.folder / "results/report/index.html"
    locks = copied.folder / ".dvc/tmp/rwlock"
    reader = {"pid": os.getpid(), "cmd": "dvc status"}
    before = copied.contents("results/report")
    locks.write_text(json.dumps({"write": {}, "read": {str(page): [reader]}}))
    failed = copied.snakemake("--forcerun", "report", "--", "report", ok=False)
    locks.unlink()
    assert failed.returncode != 0
    assert copied.contents("results/report") == before
    assert tail(failed.stdout).startswith(
        "report has failed; the whole output is in logs/report.log\nERROR: "
    )
    assert f"(PID {os.getpid()}): dvc status" in tail(failed.stdout)


def test_a_stage_that_fails_has_the_last_word(copied: Project) -> None:
    scores = copied.folder / "results/score/scores.csv"
    whole = scores.read_bytes()
    module = copied.folder / "intrada/stages/rank.py"
    code = module.read_text()
    module.write_text(
        code.replace("    block = params.rank\n", "    block = params.rank\n    scores = Path('gone.csv')\n")
    )
    failed = copied.snakemake("rank", ok=False)
    module.write_text(code)
    assert failed.returncode != 0
    said = tail(failed.stdout).splitlines()
    assert said[1].startswith("error: gone.csv: ") and said[-1].startswith("  do next: ")
    assert scores.read_bytes() == whole


def test_snakemakes_own_linter_has_no_remark(copied: Project) -> None:
    assert "Congratulations" in copied.snakemake("--lint").stdout


@pytest.mark.parametrize("file", ["dvc.lock", "dvc.yaml"])
def test_a_merge_conflict_is_one_message(copied: Project, file: str) -> None:
    path = copied.folder / file
    whole = path.read_text()
    path.write_text(f"<<<<<<< HEAD\n{whole}=======\nschema: '2.0'\n>>>>>>> other\n")
    stopped = copied.snakemake("-n", ok=False)
    path.write_text(whole)
    assert stopped.returncode != 0
    assert file in stopped.stdout and len(stopped.stdout.splitlines()) <= 6
    assert "Traceback" not in stopped.stdout and "Snakefile" not in stopped.stdout
