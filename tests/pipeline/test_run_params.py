"""The params of the runs that made an artifact, on the tiny project after every stage but the report."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core import hashing
from intrada.core.config import plain_yaml
from intrada.core.errors import UserError
from intrada.pipeline import records, run_params
from intrada.pipeline.records import Record
from intrada.pipeline.run_params import RunParams
from tests.support.tiny_project import change, run, tree, write_params

ALL = (
    *("results/score/scores.csv", "results/score/predictions", "results/rank/split.csv"),
    *("results/pseudo_label/labels", "data/preprocess/target_labels"),
    *(f"results/train_{name}/last.safetensors" for name in ("source", "inter", "intra")),
    *(f"results/evaluate/{name}" for name in ("source", "inter", "intra")),
    *(f"results/evaluate_snapshots/{name}" for name in ("source", "inter", "intra")),
)

pytestmark = pytest.mark.usefixtures("project", "one_thread")


@cache
def _fingerprint(name: str, state: str) -> str:
    return hashing.fingerprint(Path(name))


def fingerprint(name: str) -> str | None:
    path = Path(name)
    return _fingerprint(str(path.resolve()), hashing.stat_fingerprint(path)) if path.exists() else None


def collect(*artifacts: str, **changes: Any) -> RunParams:
    """The params of the runs that made the artifacts; changes: of the present params."""
    present = change(tree(), **changes)
    own = {name: present[name] for name in run_params.OWN}
    return run_params.collect(artifacts or ALL, own, present, records.scan()[0], fingerprint)


def execute(job: str, **changes: Any) -> None:
    write_params(change(tree(), **changes))
    assert run(job) == 0


def test_the_runs_of_a_report_used_all_params() -> None:
    assert collect() == RunParams([*ALL], tree())


def test_values_that_were_edited_after_the_run_are_those_of_the_run() -> None:
    found = collect(train_source__optimizer__lr=0.5, rank__easy_fraction=0.1, toycity__source__seed=5)
    assert found == RunParams([*ALL], tree())


def test_a_value_that_two_runs_read_differently_is_given_for_each() -> None:
    execute("train_intra", seed=5, train_intra__optimizer__lr=0.25)
    found = collect("results/train_source/last.safetensors", "results/train_intra/last.safetensors")
    assert found.params["train_intra"]["optimizer"]["lr"] == 0.25
    assert "seed" not in found.params
    assert found.different["seed"]["train_source"] == 1 and found.different["seed"]["train_intra"] == 5
    assert found.value("seed", "train_intra") == 5 and found.value("rank.easy_fraction", "rank") == 0.67


def test_without_records_nothing_is_invented() -> None:
    shutil.rmtree(records.FOLDER)
    found = collect()
    own = {name: tree()[name] for name in run_params.OWN}
    assert found.params == own and found.files == sorted(ALL)
    filled = {name for name, block in tree().items() if block != {}}  # an empty block has nothing to record
    assert set(found.not_recorded) == filled - own.keys()


def test_a_missing_record_is_told_with_its_keys() -> None:
    shutil.rmtree(records.FOLDER / "jobs/rank")
    found = collect()
    assert found.not_recorded == ["rank"] and found.files == ["results/rank/split.csv"]
    assert found.params == {name: block for name, block in tree().items() if name != "rank"}


def test_an_artifact_of_another_run_has_the_params_of_that_run() -> None:
    split = Path("results/rank/split.csv")
    before = split.read_bytes()
    execute("rank", rank__easy_fraction=0.3)
    assert collect(str(split)).params["rank"]["easy_fraction"] == 0.3
    assert "rank.easy_fraction" in collect().different  # the pseudo-labels are those of the other split
    split.write_bytes(before)  # as DVC restores it from its cache
    assert collect(rank__easy_fraction=0.3).params["rank"] == tree()["rank"]
    split.write_text("edited by hand")
    assert collect(str(split)).files == [str(split)]


def test_of_runs_that_wrote_the_same_bytes_the_one_with_the_present_values_counts() -> None:
    execute("rank", rank__easy_fraction=0.6701)
    for fraction in (0.67, 0.6701):
        assert collect(rank__easy_fraction=fraction).params["rank"]["easy_fraction"] == fraction


def test_an_index_alone_does_not_tell_its_run() -> None:
    """The index of two runs of preprocess is the same file, although the images differ."""
    index = Path("data/preprocess/val/index.csv")
    before = index.read_bytes()
    execute("preprocess@val", preprocess__val__storage="png")
    assert index.read_bytes() == before
    assert collect("results/evaluate/inter").params["preprocess"]["val"] == tree()["preprocess"]["val"]


def test_generated_data_that_were_drawn_again_are_not_recorded_as_what_was_read() -> None:
    execute("toycity@source", toycity__source__seed=99)
    found = collect(toycity__source__seed=99)
    assert found.not_recorded == ["toycity.source"]
    assert found.files == ["data/raw/toycity/gta5"]


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    written = RunParams(["a"], {"seed": 1}, {"b": {"rank": 1, "score": 2}}, ["c"], ["a"])
    path.write_text(json.dumps(asdict(written)))
    assert run_params.read(path) == written
    for text in ("{", "[]", '{"seed": 1}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"params.json: .*\n  allowed: the params as the report writes"):
            run_params.read(path)


def record(job: str, **params: Any) -> Record:
    outputs = {f"{job}.csv": fingerprint(f"{job}.csv") or ""}
    nothing: dict[str, dict[str, str]] = {"inputs": {}, "images": {}, "raw": {}, "sizes": {}}
    return replace(records.scan()[0][0], job=job, params=params, outputs=outputs, **nothing)


def test_options_with_other_keys_are_other_options() -> None:
    for name in ("score", "evaluate"):
        Path(f"{name}.csv").touch()
    records = [
        record("score", **{"model": {"name": "small", "options": {"width": 4}}, "compute.device": "cpu"}),
        record("evaluate", model={"name": "small", "options": {}}, compute={"device": "cpu", "threads": 1}),
    ]
    found = run_params.collect(["score.csv", "evaluate.csv"], {}, tree(), records, fingerprint)
    assert found.different == {"model.options": {"evaluate": {}, "score": {"width": 4}}}
    assert found.params["model"] == {"name": "small"}
    assert found.params["compute"] == {"device": "cpu", "threads": 1}


def test_the_report_prints_the_params_of_its_runs_and_verify_compares_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("validate") == 0
    write_params(change(tree(), train_source__optimizer__lr=0.5, rank__easy_fraction=0.1))  # too late
    assert run("report") == 0
    page = Path("results/report/index.html").read_text()
    text = page.split("Parameters of the runs</summary>")[1].split("</pre>")[0].split(">")[1]
    assert plain_yaml.parse(unescape(text)) == {**tree(), "toycity": tree()["toycity"]}
    assert "used different values" not in page and "not recorded" not in page.lower()
    assert main(["verify", "results/report"]) == 0
    [path] = (records.FOLDER / "jobs/rank").iterdir()
    content = json.loads(path.read_text().replace('"easy_fraction": 0.67', '"easy_fraction": 0.5'))
    del content["checksum"]
    record_id, forged = records.sealed(content)
    path.unlink()
    path.with_name(f"{record_id}.json").write_text(json.dumps(forged))
    assert main(["verify", "results/report"]) == 1
    found = "params.json prints 0.67 as rank.easy_fraction, but the runs used 0.5"
    assert found in capsys.readouterr().out


def test_the_report_names_edits_between_its_runs() -> None:
    execute("train_intra", seed=5)
    assert run("validate") == 0 and run("report") == 0
    page = Path("results/report/index.html").read_text()
    assert "used different values of seed: the params were edited between them" in page
    # evaluate and evaluate_snapshots were not run again: they belong to the first run of train_intra
    row = "<tr><td><code>seed</code></td><td>{}</td><td><code>{}</code></td></tr>"
    assert row.format("train_intra", 1) in page and row.format("train_intra (another run)", 5) in page
