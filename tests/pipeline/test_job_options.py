"""A stage by itself takes the paths that are not given from dvc.yaml."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from intrada import cli
from intrada.__main__ import main
from intrada.core.errors import UserError
from intrada.pipeline import dvc_templates, job_options
from intrada.stages import STAGES
from tests.support.definition import ROOT, Job, jobs
from tests.support.tiny_project import change, tree

ROUNDS = {
    "r2": {"after": "train_intra", "easy_fraction": 0.7, "init": "results/train_intra/last.safetensors"}
}
SET = {**tree()["preprocess"]["source"], "weight": 1}
PARAMS = change(
    tree(), rounds=ROUNDS, select="label_free", sources={"more": SET}, target_labelled={"few": SET}
)
JOBS = {name: job for name, job in jobs(PARAMS).items() if job.word in STAGES}


@pytest.fixture
def defined(project: Path) -> Path:
    """The finished tiny project, with the dvc.yaml of this repository."""
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n")
    return project


def selection(job: Job) -> dict[str, str]:
    flags = ("--domain", "--name", "--round", "--sources", "--target-labelled", "--block")
    return {flag: job.options.get(flag[2:].replace("-", "_"), "") for flag in flags}


def test_the_options_of_each_job_are_those_of_dvc_yaml(
    defined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = dvc_templates.commands(Path(), PARAMS)
    monkeypatch.setattr(dvc_templates, "commands", lambda *_: commands)
    for name, job in JOBS.items():
        assert job_options.words(job.word, selection(job), PARAMS) == job.argv[1:], name


def test_a_stage_reads_and_writes_where_the_pipeline_does(defined: Path) -> None:
    split, record = Path("results/rank/split.csv"), newest("rank")
    before = split.read_bytes()
    split.unlink()
    assert main(["rank"]) == 0
    assert split.read_bytes() == before
    assert newest("rank")["command"] == record["command"]
    assert newest("rank")["fingerprint"] == record["fingerprint"]


def test_a_given_path_counts_and_a_name_selects_the_job(defined: Path) -> None:
    assert main(["evaluate", "--name", "intra", "--metrics", "mine.json"]) == 0
    assert json.loads(Path("mine.json").read_text()) == json.loads(
        Path("results/evaluate/intra/metrics.json").read_text()
    )


def test_a_setting_is_used_and_recorded(defined: Path) -> None:
    assert main(["rank", "--set", "rank.easy_fraction=0.3", "--out", "mine.csv"]) == 0
    assert Path("mine.csv").read_text().count(",easy") == 3
    record = newest("rank")
    assert record["params"]["rank"]["easy_fraction"] == 0.3
    assert record["command"][:5] == ["rank", "--params", "params.yaml", "--set", "rank.easy_fraction=0.3"]


def test_settings_also_choose_the_paths(defined: Path) -> None:
    shutil.copytree("data/raw/toycity/gta5", "elsewhere")
    options = cli._parsed(
        "preprocess", ["preprocess", "--domain", "source", "--set", "preprocess.source.root=elsewhere"]
    )
    assert options["root"] == Path("elsewhere")


def test_raw_data_of_a_setting_are_not_overwritten(defined: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("data/raw/toycity/gta5", "photos")
    command = ["rank", "--out", "photos/split.csv"]
    assert main([*command, "--set", "preprocess.source.root=photos"]) == 1
    assert "photos/split.csv lies in photos, raw data that --set names" in capsys.readouterr().err
    assert main(command) == 0


@pytest.mark.parametrize(
    "chosen, found",
    [
        ({"--domain": ""}, "dvc.yaml has 5 such jobs"),
        ({"--domain": "source", "--round": "r9"}, "dvc.yaml has no such jobs"),
    ],
)
def test_a_job_that_is_not_one_is_refused(chosen: dict[str, str], found: str, defined: Path) -> None:
    with pytest.raises(UserError, match=found) as caught:
        job_options.words("preprocess", chosen, PARAMS)
    assert caught.value.allowed == "one of: --domain source, --domain target, --domain val"


def test_outside_of_a_project_the_paths_are_needed(
    defined: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("results")
    assert main(["rank", "--out", "split.csv"]) == 1
    error = capsys.readouterr().err
    assert "intrada rank: --scores not given, and" in error and f"do next: cd {defined}, or give" in error


def newest(job: str) -> dict[str, Any]:
    paths = Path("logs/provenance/jobs", job).glob("*.json")
    record: dict[str, Any] = json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())
    return record
