"""The params in dvc.lock and those of the runs, on the tiny project after every stage but the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core.config import plain_yaml
from intrada.pipeline import lock_params
from intrada.pipeline.records import scan
from tests.support.definition import jobs
from tests.support.tiny_project import tree

pytestmark = pytest.mark.usefixtures("project")


def write_lock(**changes: Any) -> None:
    """Write a dvc.lock as DVC does after a run of all jobs; changes: of the values under `rank`."""
    params = tree()
    params["rank"] |= changes
    stages = {
        job.name: {"cmd": "a", "params": {"params.yaml": {key: at(params, key) for key in job.params}}}
        for job in jobs(params).values()
        if job.params
    }
    text = plain_yaml.dump({"schema": "2.0", "stages": stages | {"validate": {"cmd": "a"}}})
    Path("dvc.lock").write_text(text)


def at(params: Any, key: str) -> Any:
    for name in key.split("."):
        params = params[name]
    return params


def messages() -> list[str]:
    records = scan()[0]
    return [text for run in records for text in lock_params.differences(run, records, lock_params.read())]


def test_the_values_of_the_runs_are_those_in_dvc_lock() -> None:
    write_lock()
    assert len(lock_params.read()) == 21 and messages() == []


def test_an_edit_between_the_end_of_a_stage_and_dvcs_record_is_noted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_lock(easy_fraction=0.5)
    [text] = messages()
    assert text.startswith("dvc.lock has other values of rank.easy_fraction than the run of rank")
    assert "dvc repro -f -s rank" in text
    assert main(["verify", "results/rank"]) == 0
    assert f"note    {text}" in capsys.readouterr().out


def test_a_second_run_with_the_same_outputs_may_have_used_the_values() -> None:
    write_lock(easy_fraction=0.6701)
    records = scan()[0]
    [first] = [run for run in records if run.job == "rank"]
    second = replace(first, params={"rank": tree()["rank"] | {"easy_fraction": 0.6701}})
    other = replace(second, outputs={"results/rank/split.csv": "others"})
    lock = lock_params.read()
    assert [*lock_params.differences(first, [first, other], lock)]
    assert not [*lock_params.differences(first, [first, second], lock)]


@pytest.mark.parametrize("text", ["", "{", "stages: []", "<<<<<<< HEAD\n", "stages: {rank: {params: 3}}"])
def test_a_dvc_lock_that_cannot_be_read_has_no_values(text: str) -> None:
    assert lock_params.read() == {}
    Path("dvc.lock").write_text(text)
    assert lock_params.read() == {} and messages() == []
