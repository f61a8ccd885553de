"""Invalid params files, and the message of each command that reads them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.core.config.load import load
from intrada.data import tables
from tests.support.bad_inputs_tree import MODEL, OPTIONS, Stage, params, use
from tests.support.tiny_project import PARAMS

SPLIT, LOSSES = Path("results/rank/split.csv"), Path("results/train_intra/losses.csv")
RANK = ["rank", "--scores", "results/score/scores.csv", "--out", str(SPLIT)]
VALIDATE = ["validate", "--params", "params.yaml", "--out", "results/validate/params.json"]
PLAIN = "plain YAML in UTF-8"


def refused(stage: Stage, *phrases: str) -> str:
    """Check that a stage and `validate` refuse params.yaml with the same message; return it."""
    message = stage.check(lambda: main(RANK), ("params.yaml", *phrases))
    assert stage.check(lambda: main(VALIDATE), phrases) == message
    return message


# --- values


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rank__easy_fractoin": 0.5}, "rank.easy_fractoin is not a key (did you mean easy_fraction?)"),
        ({"easy_fraction": 0.5}, "easy_fraction is not a key (did you mean easy_fraction?)"),
        ({"train_inter__optimizer__lrr": 1}, "train_inter.optimizer.lrr is not a key (did you mean lr?)"),
        ({"rank__easy_fraction": float("nan")}, "rank.easy_fraction = nan: a number that is not finite"),
        ({"rank__easy_fraction": 1.2}, "rank.easy_fraction = 1.2: Input should be less than or equal to 1"),
        ({"rank__easy_fraction": -0.1}, "rank.easy_fraction = -0.1: Input should be greater than or equal"),
        ({"rank__easy_fraction": "most"}, "rank.easy_fraction = 'most': Input should be a valid number"),
        (
            {"train_inter__optimizer__lr": float("inf")},
            "train_inter.optimizer.lr = inf: a number that is not finite",
        ),
        ({"train_inter__batch_size": 2.5}, "train_inter.batch_size = 2.5: Input should be a valid integer"),
        (
            {"train_inter__batch_size": "four"},
            "train_inter.batch_size = 'four': Input should be a valid integer",
        ),
        (
            {"train_inter__augment__flip": "maybe"},
            "train_inter.augment.flip = 'maybe': Input should be a valid bool",
        ),
        ({"preprocess__source__size": 64}, "preprocess.source.size = 64: Input should be a valid list"),
        (
            {"preprocess__source__root": ["a"]},
            "preprocess.source.root = ['a']: Input should be a valid string",
        ),
        ({"preprocess__source": None}, "preprocess.source = None: Input should be a valid"),
        ({"rank": []}, "rank = []: Input should be a valid"),
        ({"classes": "sky"}, "classes = 'sky': Input should be a valid list"),
        ({"train_inter__iterations": 9}, "max_iters 2 is below iterations 9"),
    ],
)
def test_an_invalid_key_or_value_is_named(stage: Stage, changes: dict[str, Any], message: str) -> None:
    use(**changes)
    refused(stage, message, "do next: fix")


@pytest.mark.parametrize(
    "classes, phrases",
    [
        (["sky"], ("1 entries", "a list of 2 to 254 classes")),
        (["sky", "rode"], ("the unknown class 'rode'", "did you mean 'road'?")),
        (["sky", "road", "sky"], ("the name sky twice",)),
        (["sky", {"name": "car", "color": [0, 0, 256]}], ("the colour [0, 0, 256]", "three whole numbers")),
        (["sky", {"name": "car"}], ("{'name': 'car'}", "exactly the keys name and color")),
    ],
)
def test_invalid_classes_are_named(stage: Stage, classes: list[Any], phrases: tuple[str, ...]) -> None:
    use(classes=classes)
    refused(stage, "params.yaml, classes: ", *phrases)


@pytest.mark.parametrize(
    "changes, phrases",
    [
        ({"preprocess__source__dataset": "gta6"}, ("'gta6'", "gta5")),
        ({"model__name": "smal"}, ("'smal'", "small, deeplabv2, efficientnet_lite0")),
        ({"train_inter__method": "adventure"}, ("'adventure'", "advent")),
        ({"rank__rare_classes": ["bus"]}, ("'bus'", "sky, road, car")),
    ],
)
def test_validate_refuses_an_unknown_name(
    stage: Stage, changes: dict[str, Any], phrases: tuple[str, ...]
) -> None:
    use(**changes)
    [key] = changes
    stage.check(
        lambda: main(VALIDATE), (f"params.yaml, {key.replace('__', '.')}: ", *phrases, "choose one of these")
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"backbone": "resnet18"}, "options of model small: unknown: 'backbone'"),
        ({"imags": "*.png"}, "options of folders: the unknown 'imags'"),
        ({**OPTIONS, "images": "../*.png"}, "options of folders: images: '../*.png'"),
        ({**OPTIONS, "labels": "masks/*.png"}, "options of folders: labels: 'masks/*.png'"),
        ({**OPTIONS, "mapping": {"sky": [300]}}, "options of folders: mapping or ignore: 300"),
    ],
)
def test_invalid_options_are_refused_by_the_stage_that_reads_them(
    stage: Stage, options: dict[str, Any], message: str
) -> None:
    is_model = "backbone" in options
    use(**{"model__options" if is_model else "preprocess__source__options": options})
    stage.refuses("train_source" if is_model else "check", message)


# --- the file


def billion_laughs(text: str) -> str:
    """Append an exponential expansion of aliases ("billion laughs") in ten lines."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return text + "\n".join(lines) + "\n"


FILES: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "a duplicate key": (
        lambda text: text + "seed: 2\n",
        ('found duplicate key "seed"', PLAIN, "each key once"),
    ),
    "a duplicate key in a block": (
        lambda text: text.replace("rule: mean_entropy", "rule: mean_entropy\n  rule: paper_normalized"),
        ('found duplicate key "rule"', "params.yaml", "line "),
    ),
    "a billion laughs": (billion_laughs, ("more than 10000 values, aliases (*name) expanded", PLAIN)),
    "a list that contains itself": (lambda text: text + "x: &x [*x]\n", ("aliases (*name)", PLAIN)),
    "code": (
        lambda text: text + "x: !!python/object/apply:os.mkdir [owned]\n",
        ("python/object/apply", PLAIN),
    ),
    "a custom tag": (
        lambda text: text.replace("seed: 1", "seed: !mine 1"),
        ("the tag !mine", "line 1", PLAIN),
    ),
    "a date": (
        lambda text: text.replace("seed: 1", "seed: 2026-01-01"),
        ("seed = 2026-01-01: a date; write it in quotes", PLAIN),
    ),
    "bytes": (
        lambda text: text.replace("seed: 1", "seed: !!binary AAAA"),
        ("the tag tag:yaml.org,2002:binary",),
    ),
    "deep nesting": (lambda text: f"{text}x: {'[' * 100}{']' * 100}\n", ("more than 40 deep", PLAIN)),
    "very deep nesting": (lambda text: f"{text}x: {'[' * 2000}{']' * 2000}\n", ("brackets", PLAIN)),
    "a number of 9000 digits": (
        lambda text: text.replace("seed: 1", f"seed: 0x{'f' * 9000}"),
        ("more than 40 digits",),
    ),
    "two documents": (
        lambda text: f"{text}---\n{text}",
        ("expected a single document", "another document", "line "),
    ),
    "another version of YAML": (lambda text: f"%YAML 1.1\n---\n{text}", ("a directive (%)", "line 1", PLAIN)),
    "an open bracket": (lambda text: text + "x: [1\n", ("while parsing a flow", PLAIN)),
    "a tab": (lambda text: text + "x:\n\ty: 1\n", ("cannot start any token", PLAIN)),
    "a control character": (lambda text: text + "x: \x01\n", ("control characters are not allowed", PLAIN)),
    "an empty file": (lambda text: "", ("a NoneType", "a mapping of blocks", "presets/")),
    "a list": (lambda text: "[1, 2]", ("a list", "a mapping of blocks", "presets/")),
    "a list as a key": (
        lambda text: text + "? [1]\n: 2\n",
        ("the key (1,) in the file: write it in quotes", PLAIN),
    ),
    "a number as a key": (lambda text: text + "1: 2\n", ("Keys should be strings",)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_plain_params_file_is_refused_within_10_seconds(stage: Stage, name: str) -> None:
    change, phrases = FILES[name]
    PARAMS.write_text(change(PARAMS.read_text()))
    start = time.monotonic()
    stage.check(lambda: main(RANK), ("params.yaml: ", *phrases))
    assert time.monotonic() - start < 10
    assert not Path("owned").exists()


@pytest.mark.parametrize("content", [b"seed: \xff", "seed: 1".encode("utf-16"), b"\x00", b"\x89PNG\r\n"])
def test_a_binary_file_is_refused_as_params(stage: Stage, content: bytes) -> None:
    PARAMS.write_bytes(content)
    stage.check(lambda: main(RANK), ("params.yaml: ", PLAIN, "fix the file"))


def test_a_missing_file_and_a_folder_are_refused(stage: Stage) -> None:
    PARAMS.unlink()
    stage.check(lambda: main(RANK), ("params.yaml: no such file", "name the file with --params"))
    PARAMS.mkdir()
    stage.check(lambda: main(RANK), ("params.yaml: ", "Is a directory"))


def test_a_few_aliases_and_a_merge_key_are_valid(stage: Stage) -> None:
    text = plain_yaml.dump(params()).replace("rank:\n", "rank:\n  <<: {easy_fraction: 0.1}\n")
    text = text.replace("supervision: pseudo", "supervision: &it pseudo")
    PARAMS.write_text(re.sub(r"title: .*", "title: *it", text))
    assert main(RANK) == 0 and load(PARAMS).report.title == "pseudo"


# --- lambda 0 and 1


@pytest.mark.parametrize("fraction, easy", [(0, 0), (0.0, 0), (1, 4), (1e-9, 0), (0.999, 3)])
def test_lambda_0_and_1_are_valid(stage: Stage, fraction: object, easy: int) -> None:
    """With 0, step 3 is skipped and copies the model of step 1. With 1, it is self-training."""
    use(rank__easy_fraction=fraction)
    for job in ("rank", "pseudo_label"):
        stage.run(job)
    stage.run("train_intra", before=MODEL, init=MODEL)
    assert tables.read(SPLIT, tables.SPLIT)["subset"].tolist() == ["easy"] * easy + ["hard"] * (4 - easy)
    assert len(files.read_csv(LOSSES)) == (2 if easy else 0)
    assert ("adv_main" in files.read_csv(LOSSES)) == (0 < easy < 4)
