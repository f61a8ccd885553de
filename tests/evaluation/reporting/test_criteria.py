"""The criteria of the snapshots on the page."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from intrada.evaluation.reporting import label_free_advice, training
from intrada.evaluation.validators import CRITERIA


def table(miou: list[float]) -> pd.DataFrame:
    """Two snapshots of which mean_entropy, flip_agreement and source_mIoU choose the first."""
    first = ("flip_agreement", "source_mIoU", "mean_agreement")
    values = {name: [0.75, 0.25] if name in first else [0.25, 0.75] for name in CRITERIA}
    values["mean_agreement"] = [math.nan, math.nan]
    return pd.DataFrame({"iteration": [200, 400], **values, "mIoU": miou})


@pytest.mark.parametrize("miou, good, bad", [([50.0, 41.0], "(0.0)", "(-9.0)"), ([math.nan] * 2, "", "")])
def test_the_page_shows_what_each_criterion_would_choose(miou: list[float], good: str, bad: str) -> None:
    built = training.criteria({"inter": table(miou), "intra": table(miou)})
    first, second = f"200 {good}".strip(), f"400 {bad}".strip()
    assert dict(built.choices) == {
        "mean_entropy": [first] * 2,
        "information": [second] * 2,
        "nuclear_norm": [second] * 2,
        "neighbourhood_density": [second] * 2,
        "flip_agreement": [first] * 2,
        "mean_agreement": ["-"] * 2,
        "source_mIoU": [first] * 2,
        "estimated_accuracy": [second] * 2,
    }


def test_the_chosen_values_of_all_snapshots_are_marked() -> None:
    rows = training.criteria({"inter": table([50.0, 41.0])}).rows
    assert [(model, iteration, miou) for model, iteration, _, miou in rows] == [
        ("inter", 200, "50.0"), ("inter", 400, "41.0"),
    ]  # fmt: skip
    values = dict(zip(CRITERIA, rows[0][2], strict=True))
    assert values["mean_entropy"] == ("0.250", True) and values["information"] == ("0.250", False)
    assert values["source_mIoU"] == ("0.8", True) and values["mean_agreement"] == ("-", False)


def test_the_estimated_accuracy_is_that_of_the_chosen_snapshot_with_its_measured_error() -> None:
    snapshots = table([50.0, 41.0]).assign(estimated_accuracy=[81.25, 90.0])
    for chosen, expected in (([1, 0], "81.2"), ([0, 1], "90.0"), ([0, 0], "90.0")):
        [advice] = label_free_advice.estimate({"inter": snapshots.assign(label_free=chosen)}, "label_free")
        assert f"inter {expected} %." in advice.text and "5 to 8 points too high for AdvEnt" in advice.text
    unknown = snapshots.assign(estimated_accuracy=float("nan"), last=0)
    assert [*label_free_advice.estimate({"inter": unknown}, "last")] == []
