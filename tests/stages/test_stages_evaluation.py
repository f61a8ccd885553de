"""The stages evaluate and evaluate_snapshots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.data import tables
from intrada.evaluation.validators import CRITERIA, PERCENT, RULES
from intrada.models import build_model
from intrada.models.weights import export_published, load_weights
from tests.support.definition import jobs
from tests.support.stage_runs import CLASSES, contents, use
from tests.support.tiny_project import forget_records, run, tree

pytestmark = pytest.mark.usefixtures("one_thread")
LABEL_FREE = ("mean_entropy", "mutual_information")


# --- evaluate


def test_an_evaluation_is_consistent_with_its_tables(project: Path) -> None:
    folder = Path("results/evaluate/intra")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics) == [
        "mIoU", "mIoU_easy", "mIoU_hard", "pixel_accuracy", "mean_entropy", "mutual_information",
    ]  # fmt: skip
    matrix = files.read_csv(folder / "confusion.csv")
    assert matrix["truth"].tolist() == CLASSES and list(matrix.columns[1:]) == CLASSES
    counts = matrix[CLASSES].to_numpy()
    assert counts.sum() == 6 * 96 * 48  # every pixel at the size of the labels
    assert metrics["pixel_accuracy"] == pytest.approx(100 * np.trace(counts) / counts.sum())
    classes = files.read_csv(folder / "classes.csv")
    assert classes["class"].tolist() == CLASSES
    assert classes["pixels"].tolist() == counts.sum(1).tolist()
    assert classes["iou"].mean() == pytest.approx(metrics["mIoU"])
    assert classes["labelled_share"].tolist() == pytest.approx((100 * counts.sum(1) / counts.sum()).tolist())
    images = tables.read(folder / "images.csv", tables.IMAGES)
    assert images["subset"].tolist().count("hard") == 2
    assert images["entropy"].mean() == pytest.approx(metrics["mean_entropy"])
    # all labels have the same size and every pixel of them is labelled
    assert images["pixel_accuracy"].mean() == pytest.approx(metrics["pixel_accuracy"])
    samples = sorted(path.relative_to(folder).as_posix() for path in (folder / "samples").rglob("*.png"))
    inter = tables.read(Path("results/evaluate/inter/images.csv"), tables.IMAGES)
    order = inter.sort_values("entropy", kind="stable")["id"].tolist()
    chosen = sorted([order[0], order[2], order[-1]])  # the extremes, and an even sample of three
    kinds = ("entropy", "prediction")
    assert samples == [f"samples/{kind}/{name}.png" for kind in kinds for name in chosen]


def test_every_model_is_evaluated_on_the_subsets_of_the_inter_model(project: Path) -> None:
    images = {
        name: tables.read(Path(f"results/evaluate/{name}/images.csv"), tables.IMAGES)
        for name in ("inter", "source", "intra")
    }
    own = ["entropy", "mIoU", "pixel_accuracy"]
    for name in ("source", "intra"):
        assert images[name].drop(columns=own).equals(images["inter"].drop(columns=own))
        assert not images[name]["entropy"].equals(images["inter"]["entropy"])


def test_the_label_map_of_every_evaluation_image_is_kept(project: Path) -> None:
    folder = Path("results/evaluate/intra")
    images = tables.read(folder / "images.csv", tables.IMAGES)
    paths = sorted((folder / "predictions").iterdir())
    assert [path.stem for path in paths] == sorted(images["id"])
    maps = np.stack([files.read_label(path) for path in paths])
    assert maps.shape == (6, 32, 64)
    counts = np.bincount(maps.ravel(), minlength=len(CLASSES))
    shares = files.read_csv(folder / "classes.csv")["predicted_share"]
    assert shares.tolist() == pytest.approx((100 * counts / counts.sum()).tolist())
    for path in (folder / "samples/prediction").iterdir():  # one image at a time instead of four
        assert (files.read_label(path) == files.read_label(folder / "predictions" / path.name)).mean() > 0.99


def test_reliability_counts_every_labelled_pixel_at_the_networks_input_size(project: Path) -> None:
    folder = Path("results/evaluate/intra")
    table = tables.read(folder / "reliability.csv", tables.RELIABILITY)
    assert table["pixels"].sum() == 6 * 32 * 64
    assert table["confidence"].between(table["from"], table["to"]).all()
    correct = (table["pixels"] * table["accuracy"]).sum() / table["pixels"].sum()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert correct == pytest.approx(metrics["pixel_accuracy"], abs=1)  # of the labels' size


def test_metrics_without_labels_are_null_and_not_zero(project: Path) -> None:
    forget_records()
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/val")
    use(preprocess__val__options={"labels": "none"})
    for name in ("check", "preprocess@val", "evaluate@inter"):
        assert run(name) == 0
    metrics = json.loads(Path("results/evaluate/inter/metrics.json").read_text())
    assert {value for key, value in metrics.items() if key not in LABEL_FREE} == {None}
    assert all(0 < metrics[key] < 1 for key in LABEL_FREE)
    classes = files.read_csv(Path("results/evaluate/inter/classes.csv"))
    assert classes["iou"].isna().all() and classes["pixels"].sum() == 0
    assert classes["labelled_share"].isna().all() and classes["predicted_share"].sum() == pytest.approx(100)
    assert tables.read(Path("results/evaluate/inter/reliability.csv"), tables.RELIABILITY).empty
    assert len(list(Path("results/evaluate/inter/samples/prediction").iterdir())) == 3


def test_snapshots_are_selected_with_and_without_labels(project: Path) -> None:
    table = tables.read(Path("results/evaluate_snapshots/intra/snapshots.csv"), tables.SNAPSHOTS)
    assert table["iteration"].tolist() == [3, 4]
    assert (table.drop(columns=["iteration", *RULES]).gt(0)).all(axis=None)
    assert (table[[name for name in CRITERIA if name not in PERCENT]] < 1).all(axis=None)
    assert not table.iloc[0].eq(table.iloc[1])[[*CRITERIA]].all()
    metrics = json.loads(Path("results/evaluate/intra/metrics.json").read_text())
    assert table["mIoU"].iloc[-1] == pytest.approx(metrics["mIoU"])
    models = [*Path("results/train_intra/snapshots").iterdir(), Path("results/train_intra/last.safetensors")]
    for rule in ("label_free", "oracle"):
        chosen = models[int(table[rule].argmax())].read_bytes()
        assert Path(f"results/train_intra/{rule}.safetensors").read_bytes() == chosen


def test_without_labels_the_oracle_chooses_none_and_its_model_is_the_last(project: Path) -> None:
    forget_records()
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/val")
    use(preprocess__val__options={"labels": "none"})
    for name in ("check", "preprocess@val", "evaluate_snapshots@inter"):
        assert run(name) == 0
    table = tables.read(Path("results/evaluate_snapshots/inter/snapshots.csv"), tables.SNAPSHOTS)
    assert table["mIoU"].isna().all() and table["oracle"].sum() == 0 and table["label_free"].sum() == 1
    models = [Path(f"results/train_inter/{rule}.safetensors").read_bytes() for rule in ("oracle", "last")]
    assert models[0] == models[1]


@pytest.mark.parametrize("rule", ["label_free", "oracle"])
def test_the_next_stages_use_the_selected_snapshot(project: Path, rule: str) -> None:
    forget_records()
    use(select=rule)
    snapshot = next(Path("results/train_inter/snapshots").iterdir())
    shutil.copyfile(snapshot, f"results/train_inter/{rule}.safetensors")
    assert run("score") == 0
    scores = Path("results/score/scores.csv").read_bytes()
    assert run("score", model=str(snapshot)) == 0
    assert Path("results/score/scores.csv").read_bytes() == scores
    assert (
        jobs(use(select=rule))["evaluate@inter"].options["model"] == f"results/train_inter/{rule}.safetensors"
    )


def test_an_ensemble_of_a_model_with_itself_has_its_metrics(project: Path) -> None:
    before = json.loads(Path("results/evaluate/intra/metrics.json").read_text())
    model = "results/train_intra/last.safetensors"
    argv = [part for key, value in jobs(tree())["evaluate@intra"].options.items() if key != "model"
            for part in (f"--{key.replace('_', '-')}", value)]  # fmt: skip
    assert main(["evaluate", *argv, "--model", model, model, "--weights", "1", "3"]) == 0
    after = json.loads(Path("results/evaluate/intra/metrics.json").read_text())
    assert after == pytest.approx(before, abs=0.1)
    assert main(["evaluate", *argv, "--model", model, "--weights", "1", "3"]) == 1


def test_a_published_checkpoint_is_evaluated_by_its_path(project: Path) -> None:
    classes = class_set(CLASSES)
    small = build_model("small", len(classes), {})
    load_weights(Path("results/train_intra/last.safetensors"), small)
    export_published(Path("published.pth"), small)
    before = contents(["results/evaluate/intra"])
    assert run("evaluate@intra", model="published.pth") == 0
    assert contents(["results/evaluate/intra"]) == before


def test_a_model_of_other_classes_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use(classes=CLASSES[:-1], rank__rare_classes=["car"])
    assert run("evaluate@inter") == 1
    assert "results/train_inter/last.safetensors" in capsys.readouterr().err
