"""IoU compared with the official Cityscapes evaluation, on generated files in the official layout."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_16, CITYSCAPES_19, IGNORE, ClassSet, class_set
from intrada.data.datasets import open_dataset
from intrada.evaluation.metrics import Confusion, confusion_matrix, iou, miou
from intrada.inference import cityscapes_server

NAMES = [f"aachen_{number:06d}_000019" for number in range(4)]


def tree(folder: Path, seed: int, label_ids: list[int], classes: ClassSet) -> tuple[list[str], list[str]]:
    """Write labels with these ids and predictions, two thirds of them correct; return the paths of both."""
    random = np.random.default_rng(seed)
    ids = cityscapes_server.table(classes)
    files_of: tuple[list[str], list[str]] = ([], [])
    for name in NAMES:
        truth = random.choice(np.array(label_ids, np.uint8), (24, 40))
        guess = ids[random.integers(0, len(classes), truth.shape)]
        correct = (random.random(truth.shape) < 0.67) & np.isin(truth, ids)
        paths = (
            folder / f"predictions/{name}.png",
            folder / f"gtFine/val/aachen/{name}_gtFine_labelIds.png",
        )
        for path, pixels in zip(paths, (np.where(correct, truth, guess), truth), strict=True):
            files.write_label(path, pixels, files.GREY)
        for paths_of_kind, path in zip(files_of, paths, strict=True):
            paths_of_kind.append(str(path))
        files.write_image(
            folder / f"leftImg8bit/val/aachen/{name}_leftImg8bit.png", np.zeros((24, 40, 3), np.uint8)
        )
    return files_of


def official(predictions: list[str], labels: list[str]) -> dict[str, Any]:
    """Return the results of cityscapesScripts, without instance-level scores, which need instance labels."""
    evaluation = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    settings = evaluation.args
    settings.evalInstLevelScore, settings.quiet, settings.JSONOutput = False, True, False
    results: dict[str, Any] = evaluation.evaluateImgLists(predictions, labels, settings)
    return results


def ours(folder: Path, predictions: list[str], classes: ClassSet) -> Confusion:
    dataset = open_dataset("cityscapes", folder, "val", {}, classes)
    index = {int(raw): train_id for train_id, raw in enumerate(cityscapes_server.table(classes))}
    total = np.zeros((len(classes), len(classes)), np.int64)
    for item, path in zip(dataset.items(), predictions, strict=True):
        assert item.label is not None
        predicted = np.vectorize(index.__getitem__)(files.read_label(Path(path)))
        total += confusion_matrix(dataset.read_label(item.label), predicted, len(classes))
    return total


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "seed, label_ids",
    [
        (1, list(range(34))),  # all classes, and the 15 ids that are ignored
        (2, [7, 8, 11, 26, 0, 1, 2, 3]),  # most classes absent from the labels
        (3, [23]),  # a single class
        (4, [4, 5, 6, 26]),  # three of four ids are ignored
    ],
)
def test_iou_equals_the_official_evaluation(tmp_path: Path, seed: int, label_ids: list[int]) -> None:
    classes = class_set(CITYSCAPES_19)
    predictions, labels = tree(tmp_path, seed, label_ids, classes)
    expected, actual = official(predictions, labels), ours(tmp_path, predictions, classes)
    for name, value in zip(classes.names, iou(actual), strict=True):
        score = expected["classScores"][name]
        assert math.isnan(value) if math.isnan(score) else value == pytest.approx(score, abs=1e-12), name
    assert miou(actual) == pytest.approx(expected["averageScoreClasses"], abs=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_iou_of_16_classes_equals_the_official_evaluation_if_the_others_are_absent(tmp_path: Path) -> None:
    """With 16 classes, terrain, truck and train are ignored. The official evaluation ignores absent classes."""
    classes = class_set(CITYSCAPES_16)
    used = cityscapes_server.table(classes).tolist()
    predictions, labels = tree(tmp_path, 5, [*used, 0, 4], classes)
    expected, actual = official(predictions, labels), ours(tmp_path, predictions, classes)
    known = [value for value in expected["classScores"].values() if not math.isnan(value)]
    assert len(known) == 16 and miou(actual) == pytest.approx(sum(known) / 16, abs=1e-12)
    assert IGNORE not in used
