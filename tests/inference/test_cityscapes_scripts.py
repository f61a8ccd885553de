"""IoU as the official Cityscapes evaluation computes it, on generated trees in the official layout."""

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
    """Labels with these ids, predictions of which two thirds are right; (predictions, labels) as files."""
    random = np.random.default_rng(seed)
    ids = cityscapes_server.table(classes)
    files_of: tuple[list[str], list[str]] = ([], [])
    for name in NAMES:
        truth = random.choice(np.array(label_ids, np.uint8), (24, 40))
        guess = ids[random.integers(0, len(classes), truth.shape)]
        right = (random.random(truth.shape) < 0.67) & np.isin(truth, ids)
        paths = (
            folder / f"predictions/{name}.png",
            folder / f"gtFine/val/aachen/{name}_gtFine_labelIds.png",
        )
        for path, pixels in zip(paths, (np.where(right, truth, guess), truth), strict=True):
            files.write_label(path, pixels, files.GREY)
        for kind, path in zip(files_of, paths, strict=True):
            kind.append(str(path))
        files.write_image(
            folder / f"leftImg8bit/val/aachen/{name}_leftImg8bit.png", np.zeros((24, 40, 3), np.uint8)
        )
    return files_of


def official(predictions: list[str], labels: list[str]) -> dict[str, Any]:
    """What cityscapesScripts says; instance-level scores need instance labels and are left out."""
    evaluation = import_module("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    settings = evaluation.args
    settings.evalInstLevelScore, settings.quiet, settings.JSONOutput = False, True, False
    found: dict[str, Any] = evaluation.evaluateImgLists(predictions, labels, settings)
    return found


def ours(folder: Path, predictions: list[str], classes: ClassSet) -> Confusion:
    dataset = open_dataset("cityscapes", folder, "val", {}, classes)
    index = {int(raw): place for place, raw in enumerate(cityscapes_server.table(classes))}
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
        (1, list(range(34))),  # all classes, and the 15 ids that do not count
        (2, [7, 8, 11, 26, 0, 1, 2, 3]),  # most classes absent from the labels
        (3, [23]),  # one class alone
        (4, [4, 5, 6, 26]),  # hardly a pixel that counts
    ],
)
def test_iou_equals_the_official_evaluation(tmp_path: Path, seed: int, label_ids: list[int]) -> None:
    classes = class_set(CITYSCAPES_19)
    predictions, labels = tree(tmp_path, seed, label_ids, classes)
    expected, found = official(predictions, labels), ours(tmp_path, predictions, classes)
    for name, value in zip(classes.names, iou(found), strict=True):
        score = expected["classScores"][name]
        assert math.isnan(value) if math.isnan(score) else value == pytest.approx(score, abs=1e-12), name
    assert miou(found) == pytest.approx(expected["averageScoreClasses"], abs=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_16_classes_are_those_of_the_official_evaluation_where_the_others_never_occur(tmp_path: Path) -> None:
    """With 16 classes the labels of terrain, truck and train are ignored; so they are officially if absent."""
    classes = class_set(CITYSCAPES_16)
    used = cityscapes_server.table(classes).tolist()
    predictions, labels = tree(tmp_path, 5, [*used, 0, 4], classes)
    expected, found = official(predictions, labels), ours(tmp_path, predictions, classes)
    known = [value for value in expected["classScores"].values() if not math.isnan(value)]
    assert len(known) == 16 and miou(found) == pytest.approx(sum(known) / 16, abs=1e-12)
    assert IGNORE not in used
