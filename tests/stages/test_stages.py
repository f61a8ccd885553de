"""Run every stage except the report on the tiny project, by the commands of dvc.yaml."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.classes import IGNORE, class_set
from intrada.data import tables
from intrada.methods import pseudo_labels
from intrada.models import build_model
from intrada.models.weights import export_published, load_weights
from intrada.stages import preprocess
from tests.support.definition import jobs
from tests.support.tiny_project import ORDER, change, forget_records, run, tree, write_params

CLASSES: list[str] = tree()["classes"]
TARGET, LABELS = Path("data/preprocess/target"), Path("data/preprocess/target_labels")
TARGET_IMAGES = 10
LABEL_FREE = ("mean_entropy", "mutual_information")


pytestmark = pytest.mark.usefixtures("one_thread")


def contents(paths: Sequence[str | Path]) -> dict[str, bytes]:
    """Return the bytes of every file at or below `paths`, by its path."""
    by_path: dict[str, bytes] = {}
    for path in map(Path, paths):
        for file in files.list_files(path) if path.is_dir() else [path]:
            by_path[file.as_posix()] = file.read_bytes()
    return by_path


def use(**changes: Any) -> dict[str, Any]:
    params = change(tree(), **changes)
    write_params(params)
    return params


# --- every stage


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_writes_its_outputs_with_the_same_bytes_again(project: Path, name: str) -> None:
    outs = jobs(tree())[name].outs
    before = contents(outs)
    assert len(before) >= len(outs)
    for out in outs:  # DVC removes them before a run
        shutil.rmtree(out) if Path(out).is_dir() else Path(out).unlink()
    assert run(name) == 0
    assert contents(outs) == before


def test_these_tests_run_every_job_except_the_report() -> None:
    assert set(jobs(tree())) - set(ORDER) == {"validate", "report"}


# --- toycity and check


def test_the_toy_city_stage_writes_a_table_of_its_images(project: Path) -> None:
    assert len(files.read_csv(Path("data/raw/toycity/gta5.csv"))) == 12
    assert files.read_csv(Path("data/raw/toycity/cityscapes.csv"))["split"].value_counts().to_dict() == {
        "train": 10,
        "val": 6,
    }


def test_the_toy_city_stage_needs_its_params(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use(toycity={})
    assert main(["toycity", "--domain", "source", "--out", "elsewhere", "--table", "elsewhere.csv"]) == 1
    assert "toycity.source is not in the params" in capsys.readouterr().err
    assert not Path("elsewhere").exists() and not Path("elsewhere.csv").exists()


def test_check_writes_statistics_and_the_same_stamp_for_all_valid_data(project: Path) -> None:
    statistics = json.loads(Path("results/check/found.json").read_text())
    assert {name: domain["images"] for name, domain in statistics.items()} == {
        "source": 12,
        "target": 10,
        "val": 6,
    }
    assert statistics["source"]["sizes"] == {"96x48": 12}
    assert sum(statistics["source"]["pixels"].values()) + statistics["source"]["ignored"] == 12 * 96 * 48
    assert statistics["target"]["pixels"] == {}  # target labels are never opened
    stamp = Path("results/check/stamp.json").read_bytes()
    use(preprocess__source__split="range:0:5")
    assert run("check") == 0
    assert Path("results/check/stamp.json").read_bytes() == stamp


def test_check_refuses_a_broken_image_and_leaves_no_stamp(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(Path("data/raw/toycity/cityscapes/leftImg8bit/val").rglob("*.png"))
    path.write_bytes(b"")
    Path("results/check/stamp.json").unlink()
    assert run("check") == 1
    assert path.name in capsys.readouterr().err
    assert not Path("results/check/stamp.json").exists()


# --- preprocess


def test_source_images_and_labels_have_the_networks_input_size(project: Path) -> None:
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert index["id"].tolist() == [f"{number:05d}" for number in range(1, 13)]
    for row in index.itertuples():
        assert files.read_image(Path(row.image)).shape == (32, 64, 3)
        label = files.read_label(Path(row.label))
        assert label.shape == (32, 64) and set(np.unique(label)) <= {*range(len(CLASSES)), IGNORE}
    assert set(index["width"]) == {64} and set(index["height"]) == {32}


def test_evaluation_labels_keep_their_own_size(project: Path) -> None:
    index = tables.read(Path("data/preprocess/val/index.csv"), tables.INDEX)
    assert len(index) == 6
    assert {files.image_size(Path(path)) for path in index["image"]} == {(64, 32)}
    assert {files.read_label(Path(path)).shape for path in index["label"]} == {(48, 96)}


def test_target_labels_are_in_their_own_table_and_not_in_the_index(project: Path) -> None:
    index = tables.read(TARGET / "index.csv", tables.INDEX)
    truth = tables.read(LABELS / "index.csv", tables.INDEX)
    assert len(index) == len(truth) == TARGET_IMAGES
    assert set(index["label"]) == {""}
    assert truth["id"].tolist() == index["id"].tolist()
    for path in truth["label"]:
        assert Path(path).parent == LABELS and files.read_label(Path(path)).shape == (32, 64)


def test_a_target_without_labels_gives_the_same_index_and_images(project: Path) -> None:
    forget_records()
    before = contents([TARGET])
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/train")
    assert run("check") == 0 and run("preprocess@target") == 0
    assert contents([TARGET]) == before
    assert tables.read(LABELS / "index.csv", tables.INDEX).empty
    assert [path.name for path in LABELS.iterdir()] == ["index.csv"]


def test_the_table_of_target_labels_lists_only_existing_labels(project: Path) -> None:
    forget_records()
    before = contents([TARGET])
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/train/aachen")
    assert run("preprocess@target") == 0
    assert contents([TARGET]) == before
    truth = tables.read(LABELS / "index.csv", tables.INDEX)
    assert 0 < len(truth) < TARGET_IMAGES
    assert not truth["id"].str.startswith("aachen").any() and "" not in set(truth["label"])


def test_preprocess_uses_the_split_and_size_of_the_params(project: Path) -> None:
    use(preprocess__source__split="range:2:5", preprocess__source__size=[32, 16])
    assert run("preprocess@source") == 0
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert index["id"].tolist() == ["00003", "00004", "00005"]
    assert files.image_size(Path(index["image"].iloc[0])) == (32, 16)
    assert len(list(Path("data/preprocess/source/images").iterdir())) == 3  # the old images are gone


def test_a_broken_image_does_not_change_the_old_output(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = jobs(tree())["preprocess@source"].outs
    before = contents(outs)
    path = Path("data/raw/toycity/gta5/images/00007.png")
    path.write_bytes(path.read_bytes()[:200])
    assert run("preprocess@source") == 1
    assert "00007.png" in capsys.readouterr().err
    assert contents(outs) == before


def interrupt_after(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise KeyboardInterrupt when preprocess resizes the image after the first `images`."""
    monkeypatch.setenv("INTRADA_WORKERS", "1")
    calls, resize = [], preprocess.resize_image

    def interrupted(*arguments: Any) -> np.ndarray:
        calls.append(arguments)
        if len(calls) > images:
            raise KeyboardInterrupt
        return resize(*arguments)

    monkeypatch.setattr(preprocess, "resize_image", interrupted)


def work_folders() -> list[Path]:
    return sorted(Path("data/preprocess").rglob(".*.work"))


def test_an_interrupted_preprocess_resumes_with_the_missing_images(project: Path) -> None:
    outs = jobs(tree())["preprocess@source"].outs
    before = contents(outs)
    for out in outs:  # DVC removes them before a run
        shutil.rmtree(out) if Path(out).is_dir() else Path(out).unlink()
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(5, patch)
        with pytest.raises(KeyboardInterrupt):
            run("preprocess@source")
    _, images = work_folders()
    finished = {path.name: path.stat().st_ino for path in images.iterdir()}
    assert len(finished) == 5 and not Path(outs[1]).exists()
    assert run("preprocess@source") == 0
    assert contents(outs) == before and work_folders() == []
    resumed = {path.name: path.stat().st_ino for path in Path("data/preprocess/source/images").iterdir()}
    assert len(resumed) == 12 and finished.items() <= resumed.items()  # the same inodes


def test_preprocess_does_not_resume_a_run_with_other_params(project: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(5, patch)
        with pytest.raises(KeyboardInterrupt):
            run("preprocess@source")
    use(preprocess__source__size=[32, 16])
    assert run("preprocess@source") == 0 and work_folders() == []
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert {files.image_size(Path(path)) for path in index["image"]} == {(32, 16)}


@pytest.mark.parametrize(
    "storage, suffix, tolerance", [("png_uncompressed", ".png", 0), ("png", ".png", 0), ("jpeg", ".jpg", 16)]
)
def test_images_are_stored_in_the_format_of_the_params(
    project: Path, storage: str, suffix: str, tolerance: int
) -> None:
    before = [files.read_image(path) for path in sorted(Path("data/preprocess/source/images").iterdir())]
    use(preprocess__source__storage=storage)
    assert run("preprocess@source") == 0
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    stored = [files.read_image(Path(path)) for path in index["image"]]
    assert {Path(path).suffix for path in index["image"]} == {suffix}
    # the mean, since JPEG quantises blocks of 8 x 8 pixels
    assert all(np.abs(a.astype(int) - b).mean() <= tolerance for a, b in zip(before, stored, strict=True))
    assert tolerance == 0 or any((a != b).any() for a, b in zip(before, stored, strict=True))


# --- score, rank, pseudo_label


def test_scores_match_the_written_predictions(project: Path) -> None:
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    index = tables.read(TARGET / "index.csv", tables.INDEX)
    assert scores["image"].tolist() == index["id"].tolist()
    columns = [tables.PIXELS + name for name in CLASSES]
    assert list(scores.columns) == ["image", "entropy", *columns]
    assert scores["entropy"].between(0, 1, inclusive="neither").all()
    for row in scores.to_dict("records"):
        prediction = files.read_label(Path(f"results/score/predictions/{row['image']}.png"))
        assert prediction.shape == (32, 64)
        counts = np.bincount(prediction.ravel(), minlength=len(CLASSES))
        assert [row[column] for column in columns] == counts.tolist()
        confidence = files.read_label(Path(f"results/score/confidence/{row['image']}.png"))
        assert confidence.shape == prediction.shape and confidence.min() >= 255 // len(CLASSES)


def test_scores_do_not_depend_on_the_batch_size(project: Path) -> None:
    before = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    use(score__batch_size=3)
    assert run("score") == 0
    after = tables.read(Path("results/score/scores.csv"), tables.SCORES)
    assert after["entropy"].tolist() == pytest.approx(before["entropy"].tolist(), abs=1e-6)


@pytest.mark.parametrize("fraction, easy", [(0, 0), (0.34, 3), (0.67, 6), (1, 10)])
def test_the_fraction_of_the_lowest_entropy_is_easy(project: Path, fraction: float, easy: int) -> None:
    use(rank__rule="mean_entropy", rank__easy_fraction=fraction)
    assert run("rank") == 0
    split = tables.read(Path("results/rank/split.csv"), tables.SPLIT)
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES).set_index("image")["entropy"]
    assert split["image"].tolist() == scores.sort_values(kind="stable").index.tolist()
    assert split["subset"].tolist() == ["easy"] * easy + ["hard"] * (TARGET_IMAGES - easy)
    assert split["rank"].tolist() == list(range(1, TARGET_IMAGES + 1))


def test_rank_refuses_a_table_with_a_duplicate_image(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_records()
    path = Path("results/score/scores.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    assert run("rank") == 1
    assert f"{path}: line 2, column image" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", [0, 0.2, 1])
def test_easy_images_get_the_predictions_of_high_confidence(project: Path, threshold: float) -> None:
    use(pseudo_label__min_confidence=threshold)
    assert run("pseudo_label") == 0
    easy, hard = (tables.read(Path(f"results/pseudo_label/{p}.csv"), tables.INDEX) for p in ("easy", "hard"))
    split = tables.read(Path("results/rank/split.csv"), tables.SPLIT)
    assert [*easy["id"], *hard["id"]] == split["image"].tolist()
    assert len(easy) == 6 and set(hard["label"]) == {""}
    written = {path.stem for path in Path("results/pseudo_label/labels").iterdir()}
    assert written == set(easy["id"])
    for row in easy.itertuples():
        prediction = files.read_label(Path(f"results/score/predictions/{row.id}.png"))
        confidence = files.read_label(Path(f"results/score/confidence/{row.id}.png"))
        assert Path(row.image) == TARGET / "images" / f"{row.id}.png"
        expected = pseudo_labels.select(prediction, confidence, threshold)
        assert np.array_equal(files.read_label(Path(row.label)), expected)
        assert threshold or np.array_equal(expected, prediction)


def test_the_pixels_that_pseudo_labels_keep_are_counted_by_class(project: Path) -> None:
    use(pseudo_label__min_confidence=0.2)
    assert run("pseudo_label") == 0
    kept = tables.read(Path("results/pseudo_label/classes.csv"), tables.KEPT)
    assert kept["class"].tolist() == CLASSES
    labels = np.stack([files.read_label(path) for path in Path("results/pseudo_label/labels").iterdir()])
    counts = np.bincount(labels.ravel(), minlength=256)
    assert kept["kept"].tolist() == counts[: len(CLASSES)].tolist() and counts[IGNORE] > 0
    scores = tables.read(Path("results/score/scores.csv"), tables.SCORES).set_index("image")
    easy = scores.loc[tables.read(Path("results/pseudo_label/easy.csv"), tables.INDEX)["id"]]
    assert kept["predicted"].tolist() == easy[[f"pixels_{name}" for name in CLASSES]].sum().tolist()


def test_a_split_of_other_images_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_records()
    path = Path("results/rank/split.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    assert run("pseudo_label") == 1
    missing = lines[-1].split(",")[0]
    assert f"1 images are in the split or in the target index only, {missing}" in capsys.readouterr().err


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
    assert table["information"].between(0, 1, inclusive="neither").all()
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
