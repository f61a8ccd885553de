"""The inputs of the report stage for an invented project."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.core.config.schema import Params, Rank, Report, Round
from intrada.core.stage import Context
from intrada.data import tables
from intrada.evaluation import validators
from intrada.methods import ranking
from intrada.stages import analyse, report
from tests.support import tiny_project

CLASSES = ["road", "sky", "car"]
PALETTE = class_set(CLASSES).palette()
TRUTH = [[0, 0], [1, 1]]
# image -> entropy, prediction, pseudo-label; a and b are easy at lambda = 0.5, e has no label
TARGET: dict[str, tuple[float, list[list[int]], list[list[int]]]] = {
    "a": (0.1, [[0, 0], [1, 1]], [[0, 0], [1, 255]]),
    "b": (0.2, [[0, 0], [1, 0]], [[0, 0], [255, 0]]),
    "d": (0.3, [[2, 2], [2, 2]], [[2, 2], [2, 2]]),
    "c": (0.4, [[0, 1], [1, 0]], [[0, 1], [1, 0]]),
    "e": (0.5, [[0, 0], [0, 0]], [[0, 0], [0, 0]]),
}
MATRIX = [[90, 10, 0], [5, 15, 0], [0, 0, 0]]  # no pixel is a car
ENTROPIES = {"source": 0.3, "inter": 0.2, "intra": 0.125}
METRICS = {
    "source": {"mIoU": 50.04, "mIoU_easy": 60.0, "mIoU_hard": 30.26, "pixel_accuracy": 80.0},
    "inter": {"mIoU": 57.3, "mIoU_easy": 68.0, "mIoU_hard": 39.0, "pixel_accuracy": 85.55},
    "intra": {"mIoU": 58.7, "mIoU_easy": 68.6, "mIoU_hard": 41.9, "pixel_accuracy": 100.0},
}


def label(path: Path, values: list[list[int]]) -> None:
    """Write class indices as a label PNG."""
    files.write_label(path, np.array(values, np.uint8), PALETTE)


def target(split: float, labelled: bool) -> None:
    """Write scores, split, predictions, labels and pseudo-labels of the target's training images."""
    scores = pd.DataFrame({"image": list(TARGET), "entropy": [row[0] for row in TARGET.values()]})
    tables.write(Path("scores.csv"), scores.assign(pixels_road=1, pixels_sky=0, pixels_car=0), tables.SCORES)
    ranked = ranking.rank(scores, "mean_entropy", split)
    tables.write(Path("split.csv"), ranked, tables.SPLIT)
    Path("pseudo").mkdir()
    for name, (_, prediction, pseudo) in TARGET.items():
        label(Path("predictions") / f"{name}.png", prediction)
        label(Path("truth") / f"{name}.png", TRUTH)
        if name in set(ranked["image"][ranked["subset"] == "easy"]):
            label(Path("pseudo") / f"{name}.png", pseudo)
    index = pd.DataFrame({"id": list(TARGET), "image": "i.png", "width": 2, "height": 2})
    index.insert(2, "label", "")
    tables.write(Path("target.csv"), index, tables.INDEX)
    files.write_image(Path("i.png"), np.full((2, 2, 3), 90, np.uint8))
    index["label"] = [f"truth/{name}.png" if name != "e" else "" for name in TARGET]
    tables.write(Path("truth/index.csv"), index if labelled else index.head(0), tables.INDEX)
    kept = pd.DataFrame({"class": CLASSES, "predicted": [5, 2, 1], "kept": [4, 2, 0]})
    tables.write(Path("kept.csv"), kept, tables.KEPT)


def evaluation(name: str, labelled: bool = True) -> None:
    """Write the evaluation of one model, with samples of the images v and w but not of x."""
    folder = Path("evaluate") / name
    for image in ("v", "w", "x"):  # intra calls one pixel of v a car
        prediction = [[0, 2], [1, 1]] if (name, image) == ("intra", "v") else TRUTH
        label(folder / "predictions" / f"{image}.png", prediction)
        files.write_image(Path(f"{image}.png"), np.full((4, 8, 3), 90, np.uint8))
    for image in ("v", "w"):
        label(folder / "samples" / "prediction" / f"{image}.png", TRUTH)
        label(folder / "samples" / "entropy" / f"{image}.png", [[0, 50], [128, 255]])
        label(Path(f"{image}_label.png"), [[0, 255, 1], [2, 2, 2]])
    iou = {"source": [40.0, 60.08, None], "inter": [70.0, 50.0, None], "intra": [75.0, 60.12, None]}[name]
    metrics = {key: value if labelled else None for key, value in METRICS[name].items()}
    iou = iou if labelled else [None] * 3
    metrics |= {"mean_entropy": ENTROPIES[name], "mutual_information": 1 - 2 * ENTROPIES[name]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    bins = [(50, 60, 100, 55.0, 40.0), (90, 100, 300, 95.0, 90.0)] if labelled else []
    reliability = pd.DataFrame(bins, columns=["from", "to", "pixels", "confidence", "accuracy"])
    tables.write(folder / "reliability.csv", reliability, tables.RELIABILITY)
    matrix = pd.DataFrame(MATRIX if labelled else np.zeros((3, 3), int), columns=CLASSES)
    matrix.insert(0, "truth", CLASSES)
    files.write_csv(folder / "confusion.csv", matrix)
    by_class = pd.DataFrame({"class": CLASSES, "iou": iou, "pixels": 1, "labelled_share": None})
    by_class["labelled_share"] = [83.0, 17.0, 0.0] if labelled else math.nan
    files.write_csv(folder / "classes.csv", by_class.assign(predicted_share=[90.0, 9.9, 0.1]))
    images = pd.DataFrame({"id": ["v", "w", "x"], "image": ["v.png", "w.png", "x.png"]})
    images["label"] = ["v_label.png", "", ""] if labelled else ""
    images = images.assign(width=8, height=4, entropy=[0.5, 0.25, 0.3], subset=["hard", "easy", "easy"])
    images = images.assign(mIoU=[50.0, math.nan, math.nan] if labelled else math.nan)
    images = images.assign(pixel_accuracy=images["mIoU"] + 20)
    tables.write(folder / "images.csv", images, tables.IMAGES)
    criteria = {name: [0.5, 0.5] for name in validators.CRITERIA} | {"information": [0.6, 0.5]}
    snapshots = pd.DataFrame({"iteration": [200, 400], **criteria})
    snapshots["mIoU"] = [61.25, METRICS[name]["mIoU"]] if labelled else math.nan
    tables.write(Path("snapshots") / name / "snapshots.csv", validators.choose(snapshots), tables.SNAPSHOTS)


def tree(split: float = 0.5, labelled: bool = True) -> None:
    """Write the inputs of the report to the working directory."""
    target(split, labelled)
    Path("found.json").write_text(json.dumps({"source": {"images": 7, "pixels": {"road": 3, "sky": 1}}}))
    for block in ("sources", "target_labelled"):
        columns = list(tables.SETS.columns)
        tables.write(Path(f"joined/{block}.csv"), pd.DataFrame(columns=columns), tables.SETS)
    for name in METRICS:
        evaluation(name, labelled)
        Path(f"{name}.safetensors").write_text(f"the weights of {name}")
        rows = pd.DataFrame({"iteration": [10, 20], "seg_main": [2.0, 1.0], "seg_aux": [3.0, 2.0]})
        if name != "source":
            rows["adv_main"] = [0.7, 0.8]
        files.write_csv(Path(f"{name}.csv"), (rows.head(0) if name == "intra" else rows).assign(lr=0.1))


def analysed(params: Params) -> None:
    """Run the analyse stage on the tree."""
    out = Path("analyse")
    analyse.run(
        params,
        evaluate=Path("evaluate"),
        snapshots=Path("snapshots"),
        found=Path("found.json"),
        scores=Path("scores.csv"),
        target=Path("target.csv"),
        kept=Path("kept.csv"),
        summary=out / "findings.json",
        out=out / "tables",
        metrics=out / "metrics",
        context=Context("analyse", "0" * 32, Path("runs")),
    )


def write_report(out: str = "report", split: float = 0.5, **rounds: Round) -> Path:
    """Run the stage in the working directory and return the folder of its outputs."""
    rank = Rank(rule="mean_entropy", easy_fraction=split, rare_classes=[])
    report_block = Report(title="<b>A & B</b>\x1b[2J\u202e")
    changes = {
        "classes": CLASSES,
        "rank": rank,
        "rounds": rounds,
        "select": "label_free",
        "report": report_block,
    }
    # model_copy would also copy the cached class_set of the other classes
    params = Params.model_construct(**dict(Params.model_validate(tiny_project.tree())) | changes)
    folder = Path(out)
    if not Path("analyse").exists():
        analysed(params)
    report.run(
        params,
        scores=Path("scores.csv"),
        split=Path("split.csv"),
        predictions=Path("predictions"),
        truth=Path("truth"),
        pseudo_labels=Path("pseudo"),
        losses_source=Path("source.csv"),
        losses_inter=Path("inter.csv"),
        losses_intra=Path("intra.csv"),
        model_source=Path("source.safetensors"),
        model_inter=Path("inter.safetensors"),
        model_intra=Path("intra.safetensors"),
        evaluate=Path("evaluate"),
        snapshots=Path("snapshots"),
        found=Path("found.json"),
        joined=Path("joined"),
        kept=Path("kept.csv"),
        findings=Path("analyse/findings.json"),
        analysis=Path("analyse/tables"),
        source=Path("source_index.csv"),
        target=Path("target.csv"),
        page=folder / "index.html",
        samples=folder / "figures/samples.png",
        class_iou=folder / "figures/class_iou.png",
        histogram=folder / "figures/entropy_histogram.png",
        curves=folder / "figures/training_curves.png",
        table=folder / "table.md",
        diagnosis=folder / "diagnosis.json",
        run_params=folder / "params.json",
        context=Context("report", "0" * 32, Path("runs")),
    )
    return folder
