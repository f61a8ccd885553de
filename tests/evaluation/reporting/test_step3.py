"""What the page says of step 3 where it does not train on the predictions of the easy images."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from intrada.core.config.load import load
from intrada.core.json_file import json_bytes
from intrada.evaluation.reporting import advice
from intrada.evaluation.reporting.step3 import PAPER, Step3, of_run
from tests.support.tiny_project import SELF_TRAINING, change, run, tree, write_params


@pytest.mark.parametrize(
    ("method", "supervision", "mix", "expected"),
    [
        ("advent", "pseudo", None, PAPER),
        ("advent", "both", None, PAPER),
        ("advent", "source", None, Step3(False, False, False)),
        ("mean_teacher", "source", "none", Step3(True, True, False)),
        ("mean_teacher", "pseudo", "none", Step3(True, True, True)),
        ("mean_teacher", "source", "easy_on_hard", Step3(True, True, True)),
    ],
)
def test_pseudo_labels_are_used_unless_the_source_alone_supervises_and_nothing_is_pasted(
    method: str, supervision: str, mix: str | None, expected: Step3
) -> None:
    values: dict[str, Any] = {
        "train_inter.method": "advent",
        "train_intra.method": method,
        "train_intra.supervision": supervision,
        "train_intra.self_training.mix": mix,
    }
    assert of_run(lambda key, job: values[key]) == expected


def test_the_page_of_a_taught_run_does_not_call_the_pseudo_labels_its_labels(project: Path) -> None:
    settings = SELF_TRAINING | {"mix": "none"}
    write_params(
        change(
            tree(),
            train_intra__method="mean_teacher",
            train_intra__self_training=settings,
            train_intra__supervision="source",
        )
    )
    params = load(Path("params.yaml"))
    Path("results/validate").mkdir(exist_ok=True)
    Path("results/validate/params.json").write_bytes(json_bytes(params.model_dump(mode="json")))
    for job in ("train_intra", "evaluate_snapshots@intra", "evaluate@intra", "analyse", "report"):
        assert run(job) == 0
    page = html.unescape(re.sub(r"<[^>]+>", " ", Path("results/report/index.html").read_text()))
    text = " ".join(page.split())
    assert "in which a teacher labels the easy and the hard target images" in text
    assert "the labels of step 3" not in text and "step 3 trains on them" not in text
    assert "did not train on the predictions of the easy images" in text
    assert "teacher_confident: no loss" in text


def test_wrong_pseudo_labels_are_no_problem_of_a_step_3_that_does_not_use_them() -> None:
    diagnosis = {"pseudo_labels": {"pixel_accuracy": 40.0}}
    [used] = advice._pseudo_labels(diagnosis, PAPER)
    [unused] = advice._pseudo_labels(diagnosis, Step3(True, True, False))
    assert (used.tone, unused.tone) == ("bad", "note")
    assert unused.text.endswith("Step 3 did not train on them.")
