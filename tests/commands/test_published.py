"""Evaluation of a checkpoint file on data in Cityscapes' layout, without the rest of the pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_IDS, class_set
from intrada.models import build_model
from intrada.models.weights import export_published, load_weights
from tests.support.tiny_project import change, forget_records, jobs, run, tree, write_params

CLASSES: list[str] = tree()["classes"]
MODEL = "results/train_intra/last.safetensors"


def test_one_command_evaluates_a_published_checkpoint_as_the_pipeline_does(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = build_model("small", len(CLASSES), {})
    load_weights(Path(MODEL), small)
    export_published(Path("published.pth"), small)
    command = ["published", "--params", "params.yaml", "--model", "published.pth"]
    assert main([*command, "--root", "data/raw/toycity/cityscapes", "--out", "results/published/it"]) == 0
    actual = json.loads(capsys.readouterr().out)
    expected = json.loads(Path("results/evaluate/intra/metrics.json").read_text())
    assert actual["mIoU"] == expected["mIoU"] and actual["pixel_accuracy"] == expected["pixel_accuracy"]
    written = {path.name for path in Path("results/published/it").iterdir()}
    tables = {"classes.csv", "confusion.csv", "images.csv", "reliability.csv"}
    assert written == {"metrics.json", "samples", "predictions", "val"} | tables


def evaluate(*more: str) -> int:
    options = jobs(tree())["evaluate@intra"].options
    argv = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    return main(["evaluate", *argv, *more])


def test_label_ids_for_the_benchmark_server_have_the_size_of_the_labels(project: Path) -> None:
    assert evaluate("--label-ids", "submission") == 0
    written = sorted(Path("submission").iterdir())
    assert len(written) == 6
    ids = {entry.name: raw for raw, entry in CITYSCAPES_IDS.items()}
    for path in Path("results/evaluate/intra/samples/prediction").iterdir():
        submitted = files.read_label(Path("submission") / path.name)
        assert submitted.shape == (48, 96)
        assert set(np.unique(submitted)) <= {ids[name] for name in CLASSES}
        small = files.read_label(path)  # at the size of the network's input: mostly the same classes
        again = np.array([ids[name] for name in CLASSES], np.uint8)[small]
        assert {*np.unique(again)} & {*np.unique(submitted)}


def test_images_without_labels_need_a_size(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path("data/raw/toycity/cityscapes/gtFine/val").rglob("*.png"):
        path.unlink()
    write_params(change(tree(), preprocess__val__options={"labels": "none"}))
    forget_records()
    assert run("check") == run("preprocess@val") == 0
    assert run("evaluate@inter") == 0
    assert evaluate("--label-ids", "submission") == 1
    assert "add --size 2048x1024" in capsys.readouterr().err and not Path("submission").exists()
    assert evaluate("--label-ids", "submission", "--size", "100x50") == 0
    assert {files.image_size(path) for path in Path("submission").iterdir()} == {(100, 50)}
    records = Path("logs/provenance/jobs/evaluate@intra").glob("*.json")
    commands = [json.loads(path.read_text())["command"] for path in records]
    assert any(command[-2:] == ["--size", "100x50"] for command in commands)  # as it was typed


def test_label_ids_are_refused_for_classes_that_cityscapes_lacks(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [{"name": "tram", "color": [1, 2, 3]}, *CLASSES[1:]]
    write_params(change(tree(), classes=own, rank__rare_classes=["car"]))
    assert class_set(own).names[0] == "tram"
    small = build_model("small", len(CLASSES), {})
    load_weights(Path(MODEL), small)
    export_published(Path("published.pth"), small)  # a file without class names
    assert evaluate("--model", "published.pth", "--label-ids", "submission") == 1
    assert "the classes tram" in capsys.readouterr().err
