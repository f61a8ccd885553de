"""The time left for a whole run comes from measured speeds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from intrada.core.config.schema import Params
from intrada.pipeline import driver, execution_log, run_monitor, run_progress, stage_progress, workload
from intrada.pipeline.bridge import MARKERS, Stage
from intrada.pipeline.dvc_api import Definition
from intrada.pipeline.run_progress import Left, Run
from intrada.pipeline.workload import Work
from tests.support.tiny_project import change

JOBS = [
    "toycity@source",
    "preprocess@source",
    "train_source",
    "train_inter",
    "score",
    "rank",
    "train_intra",
    "report",
]
UPSTREAM = {job: [before] for before, job in pairwise(JOBS)}
TRAIN, INFER = f"small: {workload.TRAIN}", f"small: {workload.INFER}"
START = 1_000_000.0


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params_tree: dict[str, Any]) -> Params:
    """100 source and 50 target images of 64 x 32 pixels, 10, 20 and 30 iterations of 2 images."""
    monkeypatch.chdir(tmp_path)
    sizes = {"toycity__source__images": 100, "toycity__target__train": 50, "toycity__target__val": 5}
    for name, number in (("train_source", 10), ("train_inter", 20), ("train_intra", 30)):
        sizes |= {f"{name}__iterations": number, f"{name}__max_iters": number}
    return Params.model_validate(change(params_tree, **sizes))


def log(job: str, start: float, seconds: float, work: Work | None) -> None:
    execution_log.LOG.parent.mkdir(exist_ok=True)
    times = {
        key: datetime.fromtimestamp(at, UTC).isoformat()
        for key, at in (("start", start), ("end", start + seconds))
    }
    line: dict[str, Any] = {"stage": job, **times, "outcome": "done"}
    if work:
        line["work"] = {"unit": work.unit, "amount": work.amount}
    with execution_log.LOG.open("a") as file:
        file.write(json.dumps(line) + "\n")


def run(jobs: list[str] = JOBS, **shares: float) -> Run:
    return Run(START, "a driver", jobs, UPSTREAM, shares)


def test_the_work_of_a_training_is_its_pixels(params: Params) -> None:
    pixels = 64 * 32
    assert workload.of_job("train_source", params) == Work(TRAIN, 10 * 2 * pixels)
    assert workload.of_job("train_inter", params) == Work(TRAIN, 20 * 2 * 2 * pixels)
    assert workload.of_job("train_intra_round@r2", params) == Work(TRAIN, 30 * 2 * 2 * pixels)
    assert workload.of_job("score", params) == Work(INFER, 50 * pixels)
    assert workload.of_job("preprocess@source", params) == Work(workload.FILES, 100)
    assert workload.of_job("rank", params) == workload.of_job("report", params) == Work(workload.OTHER, 1)


def test_the_work_of_a_training_on_crops_is_their_pixels(params_tree: dict[str, Any]) -> None:
    crop = {"cat_max_ratio": 0.75, "tries": 10}
    params_tree["train_inter"]["augment"] |= {"crop": {"size": [40, 32], **crop}}
    params_tree["train_intra"]["augment_target"] = {
        "flip": True,
        "jitter": 0,
        "crop": {"size": [32, 32], **crop},
    }
    cropped = Params.model_validate(params_tree)
    inter, intra = cropped.train_inter, cropped.train_intra
    assert workload.of_job("train_source", cropped).amount == 4 * 2 * 64 * 32
    assert workload.of_job("train_inter", cropped).amount == inter.iterations * 2 * 2 * 40 * 32
    assert workload.of_job("train_intra", cropped).amount == intra.iterations * 2 * (64 * 32 + 32 * 32)


def test_the_work_for_further_data_sets(params: Params, params_tree: dict[str, Any]) -> None:
    entry = {**params_tree["preprocess"]["source"], "root": "more", "weight": 1}
    few = {**entry, "root": "few", "size": [96, 32]}
    for name in ("more/1.png", "more/2.png", "data/preprocess/target/few/index.csv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("id\n1\n2\n3\n")
    params = Params.model_validate(
        params_tree | {"sources": {"more": entry}, "target_labelled": {"few": few}}
    )
    assert workload.of_job("check_set_sources@more", params) == Work(workload.FILES, 2)
    assert workload.of_job("preprocess_target_labelled@few", params) == Work(workload.FILES, 3)
    block = params.train_intra
    pixels = 2 * 64 * 32 + 96 * 32
    assert workload.of_job("train_intra", params).amount == block.iterations * block.batch_size * pixels


def test_images_are_counted_in_the_index_or_in_the_folder(
    params: Params, params_tree: dict[str, Any]
) -> None:
    index = Path("data/preprocess/target/index.csv")
    index.parent.mkdir(parents=True)
    index.write_text("id,image\n" + "a,b\n" * 7)
    assert workload.of_job("preprocess@target", params).amount == 7
    for name in ("1.jpg", "2.PNG", "notes.txt"):
        Path("photos/deep").mkdir(parents=True, exist_ok=True)
        Path("photos/deep", name).touch()
    own = Params.model_validate(change(params_tree, toycity={}, preprocess__source__root="photos"))
    assert workload.of_job("preprocess@source", own).amount == 2


def test_nothing_is_known_before_a_stage_was_measured(params: Params) -> None:
    left = run_progress.left(run(), JOBS, params, START)
    assert left == Left(0.0, False) and left.text == "time left not known yet"


def test_the_speed_of_one_training_counts_for_the_others(params: Params) -> None:
    log("train_source", START, 10, workload.of_job("train_source", params))  # 40960 pixels
    left = run_progress.left(run(), ["train_inter", "train_intra"], params, START + 10)
    assert left == Left(pytest.approx(40 + 60), True) and left.text == "about 2 min left"
    with_report = run_progress.left(run(), ["train_inter", "report"], params, START + 10)
    assert with_report.text == "at least 40 s left"


def test_an_estimate_counts_until_a_training_was_measured(params: Params) -> None:
    run_progress.keep_estimate({"train_source": 20.0, "train_inter": 80.0}, params)
    left = run_progress.left(run(), ["train_source", "train_inter"], params, START)
    assert left == Left(pytest.approx(100), True)
    log("train_source", START, 10, workload.of_job("train_source", params))
    assert run_progress.left(run(), ["train_intra"], params, START).seconds == pytest.approx(60)
    run_progress.ESTIMATE.write_text("[]")
    assert run_progress.left(run(), ["train_intra"], params, START).is_whole


def test_the_speed_of_another_network_does_not_count(params: Params, params_tree: dict[str, Any]) -> None:
    log("train_source", START, 10, workload.of_job("train_source", params))
    other = Params.model_validate(change(params_tree, model__name="deeplabv2"))
    assert not run_progress.left(run(), ["train_inter"], other, START).is_whole


def test_the_last_run_of_the_same_stage_counts_more(params: Params) -> None:
    log("train_inter", START - 900, 80, workload.of_job("train_inter", params))
    log("report", START - 800, 5, Work(workload.OTHER, 1))
    log("train_source", START, 10, workload.of_job("train_source", params))
    assert run_progress.left(run(), ["train_inter", "report"], params, START + 10) == Left(
        pytest.approx(85), True
    )


def test_a_running_training_tells_its_own_speed(params: Params) -> None:
    run_progress.note("train_inter", START, 0, 5, 20)
    left = run_progress.left(run(), ["train_inter", "train_intra"], params, START + 30)
    assert left == Left(pytest.approx(90 + 180), True)
    run_progress.note("train_inter", START, 10, 15, 20)  # resumed at half
    assert run_progress.left(run(), ["train_inter"], params, START + 30).seconds == pytest.approx(30)
    run_progress.note("train_inter", START - 9000, 0, 5, 20)  # of an earlier run
    assert not run_progress.left(run(), ["train_inter"], params, START + 30).is_whole


def test_jobs_that_share_the_machine_and_pauses_between_jobs_are_counted(params: Params) -> None:
    for number in range(3):
        log(f"evaluate@{number}", START + number * 10, 6, Work(workload.INFER, 1))  # pauses of 4 s
    log("rank", START - 100, 8, Work(workload.OTHER, 1))
    assert run_progress.left(run(), ["rank"], params, START + 30).seconds == pytest.approx(8 + 4)
    assert run_progress.left(run(rank=0.5), ["rank"], params, START + 30).seconds == pytest.approx(6)


def test_damaged_files_count_as_missing(params: Params) -> None:
    run_progress.begin(run())
    assert run_progress.current() == run()
    for path in (run_progress.RUN, run_progress.FOLDER / "rank.json", execution_log.LOG):
        path.write_text('{"start": 1}\n[\n')
    assert run_progress.current() is None
    assert run_progress.ended() == [] and run_progress.running(["rank"], START) == {}


def test_dvc_runs_what_depends_on_a_job_of_this_run(params: Params) -> None:
    for job in JOBS:
        log(job, START - 500, 1, None)
    assert run_progress.after(run(), "score") == JOBS[4:]
    log("score", START + 1, 1, None)
    log("rank", START + 2, 1, None)
    assert run_progress.after(run(), "train_intra") == ["train_intra", "report"]


def test_a_stage_of_dvc_prints_its_number_and_then_a_line_a_minute(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [START]
    monkeypatch.setattr(stage_progress.time, "time", lambda: now[0])
    reporter = stage_progress.Reporter("train_inter", params, run(), True, START)
    reporter.begin()
    assert capsys.readouterr().err.startswith("stage 4 of 8: train_inter; whole run: ")
    for second in range(1, 200):
        now[0] = START + second
        reporter(0, second, 200)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" of ")[0] for line in lines] == [
        f"train_inter: {second} ".strip() for second in (61, 121, 181)
    ]
    assert all("whole run: at least" in line for line in lines)


def test_a_stage_alone_and_one_of_snakemake_print_nothing(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    alone = stage_progress.reporter("rank", params)
    assert alone.run is None and alone(0, 1, 2) == ""
    run_progress.begin(Run(START, driver.SNAKEMAKE, JOBS, UPSTREAM))
    monkeypatch.setenv(driver.VARIABLE, driver.SNAKEMAKE)
    part = stage_progress.reporter("rank", params)
    part.begin()
    assert part(0, 1, 2) == "" and run_progress.running(["rank"], START)["rank"].share == 0.5
    assert capsys.readouterr().err == ""


def test_snakemake_counts_the_stages_that_it_runs(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [stage(job, UPSTREAM.get(job, [])) for job in JOBS]
    assert [one.name for one in run_monitor.planned(stages, {"score"}, [])] == JOBS[4:]
    assert [one.name for one in run_monitor.planned(stages, {"score"}, ["results/rank"])] == ["score", "rank"]
    by_name = {one.name: one for one in stages[4:]}
    MARKERS.mkdir(parents=True)
    by_name["score"].marker.touch()
    run_progress.note("train_intra", START, 0, 3, 30)
    text = run_monitor.text(run(JOBS[4:]), by_name, params)
    assert text.startswith("1 of 4 stages done, running: train_intra (10%); at least ")
    for one in by_name.values():
        one.marker.touch()
    assert run_monitor.text(run(JOBS[4:]), by_name, params) == "4 of 4 stages done"


def test_the_ablation_is_counted_by_its_targets_and_timed_by_jobs_of_the_same_kind(params: Params) -> None:
    names = ["data_a@1", "data_a@2", "recipe_a@1-x", "recipe_a@2-x", "summary_a", "data_b@1"]
    parents = {
        names[2]: [names[0]],
        names[3]: [names[1]],
        names[4]: names[2:4],
    }
    jobs = {name: of_ablation(name, parents.get(name, [])) for name in names}
    rules = {one.rule for one in jobs.values()}
    main = stage("rank", [])
    planned = run_monitor.planned([main, *jobs.values()], {*rules, "rank"}, ["ablation_summary_a"])
    assert [run_monitor.job_name(one) for one in planned] == [f"ablation/{name}" for name in names[:5]]
    everything = run_monitor.planned([main, *jobs.values()], {*rules, "rank"}, ["ablation"])
    assert everything == [*jobs.values()]
    log("ablation/data_a@1", START, 7, workload.of_job("ablation/data_a@1", params))
    log("ablation/recipe_a@1-x", START + 7, 30, workload.of_job("ablation/recipe_a@1-x", params))
    left = run_progress.left(run(), ["ablation/data_a@2", "ablation/recipe_a@2-x"], params, START + 37)
    assert left == Left(pytest.approx(37), True)
    assert not run_progress.left(run(), ["ablation/data_b@1"], params, START + 37).is_whole


def test_a_command_of_dvc_that_names_stages_runs_these_and_what_they_need() -> None:
    upstream = {"data@1": [], "data@2": [], "train@1": ["data@1"], "train@2": ["data@2"], "sum": ["train@1"]}
    assert stage_progress.wanted(upstream, ["dvc", "--cd", "ablation", "repro"]) == [*upstream]
    assert stage_progress.wanted(upstream, ["dvc", "repro", "sum"]) == ["data@1", "train@1", "sum"]
    assert stage_progress.wanted(upstream, ["dvc", "repro", "train"]) == [
        "data@1",
        "data@2",
        "train@1",
        "train@2",
    ]


def of_ablation(name: str, parents: list[str]) -> Stage:
    rules = [of_ablation(parent, []).rule for parent in parents]
    return Stage(Definition(name, name, [], [], parents, {}), "ablation", [], rules, 1, {})


def stage(name: str, parents: list[str]) -> Stage:
    definition = Definition(name, name, [], [], parents, {})
    return Stage(
        definition, ".", [f"results/{name}"], [parent.replace("@", "_") for parent in parents], 1, {}
    )
