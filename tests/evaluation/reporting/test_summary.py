"""The first screen of the page, for invented results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from intrada.evaluation.reporting import summary
from intrada.evaluation.reporting.results import Result
from intrada.evaluation.reporting.summary import History, Images, Summary
from tests.support import tiny_project

IMAGES = Images(source=400, target=300, evaluation=40, labelled=40)
NAMES = ("source", "inter", "intra", "r2")
START, END = "2026-03-04T23:50:00.000+00:00", "2026-03-05T01:02:03.000+00:00"
RECORDED = History(START, END, {"train_source": 3600, "score": 723}, ["cpu"], ["0123456789abcdef"], True)


def value(key: str, job: str) -> Any:
    found: Any = tiny_project.tree()
    for name in key.split("."):
        found = found[name]
    return found


def built(*mious: float, images: Images = IMAGES, history: History = RECORDED) -> Summary:
    models = [Result(name, {"mIoU": miou}, np.zeros(3)) for name, miou in zip(NAMES, mious, strict=False)]
    models_found = {name: {"mean_entropy": 0.3 - 0.1 * number} for number, name in enumerate(NAMES[:3])}
    found = {"models": models_found, "pairs": {"source_intra": {"agreement": 81.25}}}
    return summary.build(models, images, value, history, found)


@pytest.mark.parametrize(
    "root, name",
    [
        ("data/raw/day", "day"),
        ("../photos/day", "photos/day"),
        ("../../day/", "day"),
        ("/disk/day", "disk/day"),
        ("data/raw", "data/raw"),
    ],
)
def test_a_domain_is_named_by_its_folder(root: str, name: str) -> None:
    assert summary.domain_name(lambda *_: root, "source") == name


@pytest.mark.parametrize(
    "before, after, says",
    [
        (30.0, 47.31, "47.3 % mIoU, source-only 30.0 %: +17.3 points."),
        (30.0, 31.9, "source-only 30.0 %: +1.9 points."),
        (30.0, 25.0, "source-only 30.0 %: -5.0 points."),
    ],
)
def test_the_result_is_one_sentence_with_both_numbers(before: float, after: float, says: str) -> None:
    assert says in built(before, 40, after).sentence


@pytest.mark.parametrize(
    "after, says",
    [(32.1, "Adaptation helped."), (31.9, "too close to call"), (28.1, "too close"), (27.9, "worse")],
)
def test_a_difference_that_a_seed_may_explain_is_not_called_a_gain(after: float, says: str) -> None:
    caution = built(30, 31, after).caution
    assert says in caution and "It is one run, with seed 1" in caution


def test_models_chosen_by_the_evaluation_labels_are_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "for comparison only" not in built(30, 40, 50).caution
    tree = tiny_project.tree() | {"select": "oracle"}
    monkeypatch.setattr(tiny_project, "tree", lambda: tree)
    assert (
        "chosen by the evaluation labels, so its numbers are for comparison only" in built(30, 40, 50).caution
    )


def test_without_labels_there_is_no_number_that_cannot_exist() -> None:
    nan = math.nan
    found = built(nan, nan, nan, images=Images(400, 300, 40, 0))
    assert found.sentence == (
        "On 40 images of the target, the adapted model (intra) is surer than source-only: mean entropy 0.100 "
        "against 0.300."
    )
    assert found.caution.startswith("They agree on 81.2 % of the pixels. The images have no labels")
    assert [rung.text for rung in found.rungs] == [
        f"{value} mean entropy" for value in ("0.300", "0.200", "0.100")
    ]
    assert [round(rung.width) for rung in found.rungs] == [100, 67, 33]
    assert {fact.term: fact.value for fact in found.facts}["images"].endswith(
        "40 for evaluation, without labels"
    )


def test_the_facts_name_the_data_the_settings_and_the_run() -> None:
    facts = {fact.term: f"{fact.value} {fact.note}".strip() for fact in built(30, 40, 50, 51).facts}
    assert facts["adapted"].startswith("from toycity/gta5 to toycity/cityscapes")
    assert facts["images"] == "400 labelled of the source, 300 of the target, 40 for evaluation"
    assert facts["iterations"].endswith("4 step 3, the same again for r2")
    assert facts["computed"] == "4 March 2026, 23:50 to 5 March 2026, 01:02 UTC"
    assert facts["computing time"].startswith("1 h 12 min")
    assert facts["commit"] == "0123456789 with changes that were not committed"


def test_without_records_the_run_is_called_not_recorded() -> None:
    facts = {fact.term: fact.value for fact in built(30, 40, 50, history=History()).facts}
    assert {facts[term] for term in ("device", "computed", "commit")} == {"not recorded"}


@pytest.mark.parametrize(
    "seconds, text", [(7.6, "8 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (200_000, "2 d 7 h")]
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert summary.duration(seconds) == text


def test_further_data_sets_are_facts() -> None:
    found = built(30, 40, 50, images=Images(400, 300, 40, 40, {"more": 12, "b": 3}, {"few": 10}))
    facts = {fact.term: fact for fact in found.facts}
    assert facts["further sources"].value == "more (12 images), b (3 images)"
    assert facts["labelled target images"].value == "few (10 images)"
    assert facts["adapted"].note == "source: has labels; target: trained on with 10 labels, in step 3"
    plain = {fact.term: fact for fact in built(30, 40, 50).facts}
    assert plain.keys() == facts.keys() - {"further sources", "labelled target images"}
    assert plain["adapted"].note == "source: has labels; target: trained on without any"
