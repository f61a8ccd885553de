"""A page of invented results as large as real ones: 19 classes, four models, long names, ten images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_19, ClassSet, class_set
from intrada.core.config.schema import Rank
from intrada.data.tables import PIXELS
from intrada.evaluation import agreement, findings, pixel_stats, validators
from intrada.evaluation.findings import Evaluation
from intrada.evaluation.metrics import confusion_matrix, iou, miou
from intrada.evaluation.reporting import content, diagnosis
from intrada.evaluation.reporting.page import render
from intrada.evaluation.reporting.results import Result
from intrada.evaluation.reporting.samples import Sample
from intrada.evaluation.reporting.summary import History, Images
from intrada.methods import ranking
from tests.support import tiny_project

MODELS = ("source", "inter", "intra", "r2")
NAMES = [f"a_rather_long_name_of_a_recorded_drive_{number:06}" for number in range(10)]
SHAPE = (32, 64)
HISTORY = History(
    "2026-03-04T10:00:00+00:00", "2026-03-05T11:00:00+00:00", {"train_source": 90_000.0},
    ["NVIDIA H200"], ["0123456789abcdef"],
)  # fmt: skip


def write(folder: Path, labelled: bool) -> str:
    """Write the page and return its URL. Run it in an empty working directory, where it leaves pictures."""
    classes = class_set([*CITYSCAPES_19])
    rank = Rank(rule="mean_entropy", easy_fraction=0.67, rare_classes=[])
    origin = content.Provenance("seed: 1\n", {"seed": {"rank": "1", "score": "2"}}, ["model"], ["a/file"], {})
    runs = content.Runs(_value, HISTORY, rank, True, "float32", origin)
    built = content.build("A title of the usual length", measured(folder, classes, labelled), classes, runs)
    path = folder / f"page_{labelled}.html"
    path.write_text(render.render(built), encoding="utf-8")
    return path.as_uri()


def _value(key: str, job: str) -> Any:
    found: Any = tiny_project.tree()
    for name in key.split("."):
        found = found[name]
    return found


def measured(folder: Path, classes: ClassSet, labelled: bool) -> content.Measured:
    """Return the results; every model has fewer wrong pixels than the one before it."""
    random, count = np.random.default_rng(5), len(classes)
    truth = {name: np.sort(random.integers(0, count, SHAPE), axis=0).astype(np.uint8) for name in NAMES}
    maps = {
        model: {name: _noisy(random, truth[name], 0.5 / (1 + number), count) for name in NAMES}
        for number, model in enumerate(MODELS)
    }
    for name in NAMES:
        files.write_image(Path(f"{name}.png"), random.integers(0, 255, (*SHAPE, 3), np.uint8))
        for model in MODELS:
            files.write_label(
                folder / model / "predictions" / f"{name}.png", maps[model][name], classes.palette()
            )
    evaluations = {model: _evaluation(maps[model], truth, classes, labelled) for model in MODELS}
    scores = _scores(random, classes)
    kept = pd.DataFrame({"class": classes.names, "predicted": range(100, 100 + count), "kept": 50})
    shares = findings.shares(classes.names, dict.fromkeys(classes.names, 5), evaluations, scores, kept)
    label_next = pd.DataFrame({"image": NAMES, "path": [f"{name}.png" for name in NAMES]})
    label_next = label_next.assign(entropy=0.5, rank=range(1, 11))
    table, matrices = _agreement(maps, count)
    found = findings.summary(evaluations, shares, table, agreement.pairs(MODELS), matrices, label_next)
    comparisons = [
        diagnosis.Comparison("easy" if number < 6 else "hard", 0.1 * number, *[_matrix(maps["inter"][name], truth[name], count)] * 2)
        for number, name in enumerate(NAMES)
    ]  # fmt: skip
    return content.Measured(
        [_result(model, evaluations[model]) for model in MODELS],
        evaluations,
        {model: folder / model for model in MODELS},
        {model: _snapshots(labelled) for model in MODELS},
        "last",
        dict.fromkeys(MODELS[:3], _losses(random)),
        [_sample(random, name, maps, truth[name] if labelled else None) for name in NAMES],
        ranking.rank(scores, "mean_entropy", 0.67),
        {model: _images(random, labelled) for model in MODELS},
        kept,
        found,
        shares,
        label_next,
        diagnosis.diagnose(comparisons, count) if labelled else diagnosis.without_labels(),
        Images(2975, len(NAMES), len(NAMES), len(NAMES) if labelled else 0),
    )


def _noisy(random: np.random.Generator, truth: Any, part: float, count: int) -> Any:
    wrong = random.random(truth.shape) < part
    return np.where(wrong, random.integers(0, count, truth.shape), truth).astype(np.uint8)


def _matrix(prediction: Any, truth: Any, count: int) -> Any:
    return confusion_matrix(truth, prediction, count)


def _evaluation(maps: Any, truth: Any, classes: ClassSet, labelled: bool) -> Evaluation:
    count = len(classes)
    total = sum(_matrix(maps[name], truth[name], count) for name in NAMES) * int(labelled)
    share = total.sum(1) / total.sum() if labelled else math.nan
    predicted = sum(np.bincount(maps[name].ravel(), minlength=count) for name in NAMES)
    by_class = pd.DataFrame({"class": classes.names, "iou": 100 * iou(total)})
    by_class = by_class.assign(labelled_share=100 * share, predicted_share=100 * predicted / predicted.sum())
    metrics = {
        "mIoU": 100 * miou(total) if labelled else None,
        "mean_entropy": 0.2,
        "mutual_information": 0.5,
    }
    levels = np.full((pixel_stats.LEVELS + 1, 2), int(labelled), np.int64)
    return Evaluation(metrics, by_class, total, pixel_stats.reliability(levels))


def _result(model: str, evaluation: Evaluation) -> Result:
    value = evaluation.metrics["mIoU"]
    miou = math.nan if value is None else value
    metrics = dict.fromkeys(("mIoU", "mIoU_easy", "mIoU_hard", "pixel_accuracy"), miou)
    return Result(model, metrics, evaluation.classes["iou"].to_numpy(np.float64))


def _scores(random: np.random.Generator, classes: ClassSet) -> pd.DataFrame:
    scores = pd.DataFrame({"image": NAMES, "entropy": random.random(len(NAMES))})
    return scores.assign(**{PIXELS + name: 100 for name in classes.names})


def _agreement(maps: Any, count: int) -> tuple[pd.DataFrame, list[Any]]:
    compared = agreement.pairs(MODELS)
    joint = [
        agreement.joint({model: maps[model][name] for model in MODELS}, compared, count) for name in NAMES
    ]
    table = pd.DataFrame({"image": NAMES})
    for index, (first, second) in enumerate(compared):
        table[f"{first}_{second}"] = [agreement.of_image(matrices)[index] for matrices in joint]
    return table, [sum(matrices[index] for matrices in joint) for index in range(len(compared))]


def _snapshots(labelled: bool) -> pd.DataFrame:
    table = pd.DataFrame({"iteration": range(2000, 14_000, 2000)})
    for number, criterion in enumerate(validators.CRITERIA):
        values = np.roll(np.linspace(0.3, 0.6, 6), -number)
        table[criterion] = 100 * values if criterion in validators.PERCENT else values
    return validators.choose(table.assign(mIoU=np.linspace(30, 52, 6) if labelled else math.nan))


def _losses(random: np.random.Generator) -> pd.DataFrame:
    names = [f"{kind}_{head}" for kind in ("seg", "adv", "d_source", "d_target") for head in ("main", "aux")]
    table = pd.DataFrame(random.random((50, len(names))), columns=names)
    return table.assign(iteration=range(100, 5100, 100))


def _sample(random: np.random.Generator, name: str, maps: Any, label: Any) -> Sample:
    image = random.integers(0, 255, (*SHAPE, 3), np.uint8)
    accuracy = dict(zip(MODELS, (50.0, 60.0, 70.0, 71.0), strict=True)) if label is not None else {}
    entropy = random.integers(0, 255, SHAPE, np.uint8)
    return Sample(
        name, "easy", 0.2, image, entropy, {model: maps[model][name] for model in MODELS}, label, accuracy
    )


def _images(random: np.random.Generator, labelled: bool) -> pd.DataFrame:
    table = pd.DataFrame({"id": NAMES, "image": [f"{name}.png" for name in NAMES], "subset": "easy"})
    table["entropy"] = random.random(len(NAMES))
    return table.assign(mIoU=100 * random.random(len(NAMES)) if labelled else math.nan)
