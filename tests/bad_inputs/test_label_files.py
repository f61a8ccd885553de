"""Invalid label files, and labels that do not match the mapping or the classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.bad_inputs.test_images import cut, saved
from tests.core.test_files_images import raw_png
from tests.support.bad_inputs_tree import MASK, MODEL, OPTIONS, Stage, mask, use

IDS = "a PNG whose pixels are ids"

INVALID: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "truncated": (cut, ("runcated", IDS)),
    "zero bytes": (lambda path: path.write_bytes(b""), ("an empty file (0 bytes)", IDS)),
    "16-bit grey": (lambda path: Image.new("I;16", (64, 32)).save(path), ("16 bits a channel", IDS)),
    "16-bit colour": (lambda path: raw_png(path, 16, 2, [bytes(384)] * 32, 64), ("16 bits", IDS)),
    "colours": (saved("RGB"), ("colours (RGB) where ids are expected", "`encoding: rgb`")),
    "transparent colours": (saved("RGBA"), ("colours (RGBA) where ids are expected", "`encoding: rgb`")),
    "transparent grey": (saved("LA"), ("colours (LA) where ids are expected", IDS)),
    "a JPEG with the extension png": (saved("L", kind="JPEG"), ("a JPEG, whose pixels are not exact", IDS)),
    "an id outside the mapping": (
        lambda path: mask(path, values=(0, 1, 2, 7)),
        ("unknown id 7 (512 pixels)", "the ids 0, 1, 2, 255", "add them to `mapping`, or to `ignore`"),
    ),
    "half of another image": (
        lambda path: mask(path, (32, 32)),
        ("32x32 pixels, its image has 64x32", "a label of the size of its image"),
    ),
}


@pytest.mark.parametrize("domain, name", [(domain, name) for domain in ("source", "val") for name in INVALID])
def test_check_refuses_an_invalid_label(stage: Stage, domain: str, name: str) -> None:
    damage, phrases = INVALID[name]
    path = MASK if domain == "source" else Path("raw/val/masks/y.png")
    damage(path)
    stage.refuses("check", f"{path}: ", *phrases)


def test_an_invalid_target_label_is_refused_by_preprocess_and_not_read_by_check(stage: Stage) -> None:
    path = Path("raw/target/masks/q.png")
    cut(path)
    stage.run("check")
    stage.refuses("preprocess@target", f"{path}: ", "runcated", IDS)


def test_an_image_without_a_label_and_a_label_without_an_image_are_refused(stage: Stage) -> None:
    MASK.rename("raw/source/masks/elsewhere.png")
    stage.refuses(
        "check",
        "b.png: no label raw/source/masks/b.png",
        "1 of 3 images have none",
        "raw/source/masks has c.png, a.png",
        "elsewhere.png: no image has this label",
        "`exclude`",
        "logs/check_faults.txt lists all",
    )
    Path("raw/source/photos/b.png").unlink()
    stage.refuses("check", "raw/source/masks/elsewhere.png: no image has this label", "`split: list:FILE`")


def test_all_invalid_labels_are_reported_at_once(stage: Stage) -> None:
    for stem in "abc":
        mask(MASK.with_stem(stem), values=(0, 9))
    stage.refuses("check", "3 faults: 3 in source", "a.png: unknown id 9", "c.png: unknown id 9")


# --- classes that do not match the labels


@pytest.mark.parametrize(
    "changes, phrases",
    [
        (
            {
                "classes": ["sky", "road", "car", "bus"],
                "preprocess__source__options": {**OPTIONS, "ignore": [3, 255]},
            },
            ("raw/source: no label has a pixel of bus (in 3 labels)", "list these classes in `allow_absent`"),
        ),
        (
            {"preprocess__source__options": {**OPTIONS, "mapping": {"sky": [0], "raod": [1], "car": [2]}}},
            ("the unknown class 'raod'", "did you mean 'road'?"),
        ),
        (
            {"preprocess__source__options": {**OPTIONS, "mapping": {"sky": [0], "road": [1]}}},
            (f"{MASK}".replace("b.png", ""), "unknown id 2", "the ids 0, 1, 255"),
        ),
        (
            {"preprocess__source__options": {**OPTIONS, "encoding": "rgb"}},
            ("options of folders: mapping or ignore: 0", "colours as '#rrggbb', in quotes"),
        ),
        ({"preprocess__val__allow_absent": ["cra"]}, ("the unknown class 'cra'", "did you mean 'car'")),
    ],
)
def test_a_mapping_that_does_not_match_the_labels_or_classes_is_refused(
    stage: Stage, changes: dict[str, Any], phrases: tuple[str, ...]
) -> None:
    use(**changes)
    stage.refuses("check", *phrases)


def test_labels_without_one_valid_pixel_are_refused_by_check(stage: Stage) -> None:
    for stem in "abc":
        mask(MASK.with_stem(stem), values=(255,))
    stage.refuses("check", "no label has a pixel of sky, road, car (in 3 labels)")


# --- labels that were changed after preprocess


@pytest.mark.parametrize(
    "damage, phrases",
    [
        (cut, ("runcated", "run that stage again")),
        (saved("RGB"), ("colours (RGB) where ids are expected",)),
        (
            lambda path: mask(path, (32, 32)),
            ("32x32 pixels, its image has 64x32", "run the stage that wrote it"),
        ),
    ],
)
def test_a_damaged_preprocessed_label_stops_training(
    stage: Stage, damage: Callable[[Path], object], phrases: tuple[str, ...]
) -> None:
    path = Path("data/preprocess/source_labels/b.png")
    damage(path)
    stage.refuses("train_source", f"{path}: ", *phrases)


@pytest.mark.parametrize("damage, message", [(cut, "runcated"), (saved("RGB"), "colours (RGB)")])
def test_a_damaged_preprocessed_label_stops_evaluation(
    stage: Stage, damage: Callable[[Path], object], message: str
) -> None:
    path = Path("data/preprocess/val_labels/y.png")
    damage(path)
    stage.refuses("evaluate@inter", f"{path}: ", message, model=MODEL)


def test_a_preprocessed_label_of_another_class_set_is_ignored_by_training_and_refused_by_evaluation(
    stage: Stage,
) -> None:
    mask(Path("data/preprocess/source_labels/b.png"), values=(0, 99))
    stage.run("train_source")
    path = Path("data/preprocess/val_labels/y.png")
    mask(path, values=(0, 99))
    stage.refuses(
        "evaluate@inter",
        f"{path}: the values [99]",
        "indices of the 3 classes, and 255",
        "run `preprocess`",
        model=MODEL,
    )
