from __future__ import annotations

import math

import pandas as pd
import pytest

from intrada.evaluation import criteria_quality
from intrada.evaluation.validators import CRITERIA

MIOU = [40.0, 50.0, 48.0, 45.0]


def row(criterion: str, values: list[float], miou: list[float]) -> tuple[int, float, float]:
    """Chosen iteration, correlation and regret of one criterion; all others are constant."""
    frame = pd.DataFrame({"iteration": [10, 20, 30, 40][: len(values)], "mIoU": miou})
    frame = frame.assign(**dict.fromkeys(CRITERIA, 0.5) | {criterion: values})
    table = criteria_quality.table({"inter": frame})
    assert table["criterion"].tolist() == list(CRITERIA) and set(table["model"]) == {"inter"}
    found = table.set_index("criterion").loc[criterion]
    return int(found["chosen"]), float(found["correlation"]), float(found["regret"])


@pytest.mark.parametrize(
    "criterion, values, expected",
    [
        ("information", [0.1, 0.4, 0.3, 0.2], (20, 1.0, 0.0)),  # the same order as mIoU
        ("information", [0.4, 0.1, 0.2, 0.3], (10, -1.0, 10.0)),  # the reverse
        ("mean_entropy", [0.4, 0.1, 0.2, 0.3], (20, 1.0, 0.0)),  # low is good
        # ranks 1 2 3 4 against 1 4 3 2: 1 - 6 * (0 + 4 + 0 + 4) / (4 * 15)
        ("nuclear_norm", [0.1, 0.2, 0.3, 0.4], (40, 0.2, 5.0)),
        ("flip_agreement", [0.5, 0.5, 0.5, 0.5], (40, math.nan, 5.0)),
        ("source_mIoU", [math.nan] * 4, (0, math.nan, math.nan)),
    ],
)
def test_a_criterion_is_judged_by_its_order_and_by_its_choice(
    criterion: str, values: list[float], expected: tuple[int, float, float]
) -> None:
    assert row(criterion, values, MIOU) == pytest.approx(expected, nan_ok=True)


def test_two_snapshots_have_no_correlation() -> None:
    assert row("information", [0.1, 0.4], [40.0, 30.0]) == pytest.approx((20, math.nan, 10.0), nan_ok=True)


def test_without_labels_only_the_choice_is_known() -> None:
    actual = row("information", [0.1, 0.4, 0.3], [math.nan] * 3)
    assert actual == pytest.approx((20, math.nan, math.nan), nan_ok=True)
