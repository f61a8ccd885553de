"""Outputs that would destroy inputs, raw data or the params file: refused, and no file is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from intrada.__main__ import main
from tests.support.bad_inputs_tree import MODEL, Stage, params, use
from tests.support.tiny_project import change, write_params

SCORES = "results/score/scores.csv"
REFUSED = "name another output, or fix the path of the input; nothing was written or removed"


@pytest.mark.parametrize(
    "images", ["raw/source", "raw/source/photos", "raw/new", "raw/val/new", "to_raw/x", "raw"]
)
def test_preprocess_never_replaces_raw_data(stage: Stage, images: str) -> None:
    Path("to_raw").symlink_to("raw/target")
    Path("raw/new").symlink_to("source/photos")
    stage.refuses("preprocess@source", "--images: ", images, REFUSED, images=images)


@pytest.mark.parametrize(
    ("job", "option", "path"),
    [
        ("rank", "out", SCORES),
        ("rank", "out", "params.yaml"),
        ("rank", "out", "results"),
        ("score", "predictions", "data/preprocess/target/images"),
        ("score", "confidence", "results/train_source"),
        ("train_source", "snapshots", "data/preprocess"),
        ("train_source", "model", "weights/random"),
        ("check", "stamp", "raw/source/photos/a.png"),
    ],
)
def test_a_stage_never_replaces_an_input(stage: Stage, job: str, option: str, path: str) -> None:
    model = {"model": MODEL} if job == "score" else {}
    stage.refuses(job, f"--{option}: {path} ", REFUSED, **{**model, option: path})


@pytest.mark.parametrize(
    "words",
    [
        ["export", MODEL, "--out", MODEL],
        ["export", MODEL, "--out", "params.yaml"],
        ["export", MODEL, "--out", "raw/source/photos/a.png"],
        ["export", MODEL, "--out", "linked"],
        ["export", MODEL, "--params", "other.yaml", "--out", "other.yaml"],
        ["schema", "--out", "params.yaml"],
        ["validate", "--params", "params.yaml", "--out", "stamp.json", "--code", "raw"],
        ["predict", MODEL, "raw/target/photos", "--out", "raw/target/photos"],
        ["predict", MODEL, "raw/target/photos", "--out", "raw/target/photos/out"],
        ["predict", MODEL, "raw/target/photos/p.png", "--out", "raw/target"],
        ["predict", MODEL, "raw/target/photos", "--out", MODEL],
        ["predict", MODEL, "other.yaml", "raw/target/photos", "--out", "results"],
    ],
)
def test_a_command_never_replaces_an_input(stage: Stage, words: list[str]) -> None:
    Path("linked").symlink_to(MODEL)
    shutil.copyfile("params.yaml", "other.yaml")
    stage.check(lambda: main(words), ("--out: " if words[0] != "validate" else "--code: ", REFUSED))


@pytest.mark.parametrize(
    ("glob", "out"),
    [
        ("photos/*", "photos/out"),
        ("photos/**/*.png", "photos/out/deep"),
        ("*", "out"),
        ("*/*/*.png", "out"),
        ("*", "linked/out"),
    ],
)
def test_predict_refuses_a_folder_that_its_own_glob_would_read_next(
    stage: Stage, glob: str, out: str
) -> None:
    shutil.copytree("raw/target/photos", "photos")
    Path("linked").symlink_to("photos")
    words = ["predict", MODEL, glob if glob != "*" or "/" not in out else "photos/*", "--out", out]
    stage.check(lambda: main(words), ("are inside each other", "name another folder"))


@pytest.mark.parametrize("out", ["/published", "../published", "results/../../published"])
def test_published_refuses_a_folder_outside_of_the_project(stage: Stage, out: str) -> None:
    words = ["published", "--params", "params.yaml", "--model", MODEL, "--root", "raw/val", "--out", out]
    stage.check(lambda: main(words), ("--out: ", "outside of the project's folder", "such as results/"))


def test_published_accepts_an_absolute_path_of_the_project(stage: Stage) -> None:
    out = Path("results/published/own").absolute()
    words = ["published", "--params", "params.yaml", "--model", MODEL, "--root", "raw/val", "--out", str(out)]
    assert main(words) == 0
    assert "results/published/own/val/images/x.png" in (out / "val/index.csv").read_text()


def test_raw_data_among_the_outputs_of_stages_are_refused_before_dvc_removes_anything(stage: Stage) -> None:
    Path("to_results").symlink_to("results")
    for root in ("data/preprocess/target/images", "results", "to_results/mine", "data", "runs/x"):
        use(preprocess__target__root=root)
        words = ["validate", "--params", "params.yaml", "--out", "stamp.json"]
        stage.check(lambda words=words: main(words), ("params.yaml, preprocess.target.root", "DVC removes"))


def test_a_link_from_the_toy_city_to_raw_data_is_refused(stage: Stage) -> None:
    Path("data/raw").mkdir()
    Path("data/raw/toycity").symlink_to(Path("raw").absolute())
    toy = {"root": "data/raw/toycity/source", "seed": 1, "images": 2, "size": [64, 32]}
    write_params(change(params(), toycity={"source": toy}))
    words = ["validate", "--params", "params.yaml", "--out", "stamp.json"]
    stage.check(lambda: main(words), ("preprocess.source.root: raw/source is data/raw/toycity/source",))


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "line\nbreak"])
def test_a_name_that_would_lead_out_of_the_folders_of_the_runs_is_refused(stage: Stage, name: str) -> None:
    words = [
        "evaluate", "--images", "data/preprocess/val/index.csv", "--model", MODEL, "--metrics", "m.json",
        "--class-iou", "c.csv", "--confusion", "f.csv", "--table", "t.csv", "--samples", "s",
        "--predictions", "p", "--reliability", "r.csv",
    ]  # fmt: skip
    stage.check(lambda: main([*words, "--name", name]), ("evaluate, its name", repr(name)))
